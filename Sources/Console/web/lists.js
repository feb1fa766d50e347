// Topics, queues, flow keys, schedules, dead letters, logs.
import { h, session, call, raw, send, query, time, exact, say, attempt, ask, table, button, state, filters, range, messageLink, number, duration } from './kit.js';
import { plot } from './plot.js';

const mono = text => h('span', { class: 'mono wrap' }, text);
const enc = encodeURIComponent;
const locked = () => !session.rights.manage;
async function act(context, action, done) {
  await attempt(async () => { await action(); say(done); context.again(); });
}
async function asked(context, question, action, done) {
  if (await ask({ dangerous: true, ...question })) await act(context, action, done);
}

export async function topics(context) {
  const all = await call('v2/topics', { signal: context.signal });
  const lanes = await waits(context, 'topicName', all.map(t => t.name));
  async function add(name) {
    const got = await ask({ title: name ? `Add an endpoint to ${name}` : 'New topic', action: 'Add', fields: [
      ...(name ? [] : [{ name: 'topic', label: 'Topic', required: true }]), { name: 'url', label: 'URL', type: 'url', required: true }, { name: 'name', label: 'Name of the endpoint, if any' }] });
    if (!got) return;
    const topic = name || got.topic;
    await act(context, () => send('POST', `v2/topics/${enc(topic)}/endpoints`, { endpoints: [{ url: got.url, ...(got.name ? { name: got.name } : {}) }] }), `Added to ${topic}.`);
  }
  return [h('h1', {}, 'Topics'), h('div', { class: 'actions' }, button('New topic…', () => add(), { kind: 'primary', off: locked() })),
    table('Topics', [
      { name: 'Topic', cell: t => h('a', { href: '#/messages' + query({ topicName: t.name }) }, t.name) },
      { name: 'Waiting', kind: 'number', cell: t => lanes.count(t.name) }, { name: 'Oldest due', cell: t => lanes.due(t.name) },
      { name: 'Endpoints', cell: t => h('ul', {}, t.endpoints.map(e => h('li', {}, e.name ? e.name + ': ' : '', mono(e.url), ' ', button('Remove', () => asked(context,
        { title: 'Remove 1 endpoint?', text: `${e.url} from ${t.name}. What was published before is still delivered there.`, action: 'Remove it' },
        () => send('DELETE', `v2/topics/${enc(t.name)}/endpoints`, { endpoints: [{ url: e.url }] }), 'Removed.'), { off: locked(), label: `Remove ${e.url} from ${t.name}` })))) },
      { name: 'Changed', cell: t => time(t.updatedAt) },
      { name: 'Actions', cell: t => h('div', { class: 'actions' }, button('Add endpoint…', () => add(t.name), { off: locked(), label: 'Add an endpoint to ' + t.name }),
        button('Delete…', () => asked(context, { title: `Delete topic ${t.name}?`, text: `Its ${t.endpoints.length} endpoints get nothing more through it.`, action: 'Delete it' },
          () => send('DELETE', 'v2/topics/' + enc(t.name)), 'Deleted.'), { kind: 'danger', off: locked(), label: 'Delete topic ' + t.name })) },
    ], all, 'No topics. A topic sends one publish to many URLs.')];
}

// What waits in the lanes of each name and since when; the first thousand names.
async function waits(context, kind, all) {
  const found = {};
  for (let at = 0; at < Math.min(all.length, 1000); at += 40) {
    const part = all.slice(at, at + 40).map(name => `${kind}=${enc(name)}`).join('&');
    const answer = await call('console/api/lanes?' + part, { signal: context.signal }).catch(error => { if (error.name === 'AbortError') throw error; });
    for (const lane of answer?.lanes || []) found[lane[kind]] = lane;
  }
  return { count: name => found[name] ? number(found[name].waiting) : '–', due: name => found[name]?.oldestDue ? time(found[name].oldestDue) : '–' };
}

export async function queues(context) {
  const all = await call('v2/queues', { signal: context.signal });
  const lanes = await waits(context, 'queueName', all.map(q => q.name));
  async function change(queue) {
    const got = await ask({ title: queue ? `Parallelism of ${queue.name}` : 'New queue', action: 'Save', fields: [
      ...(queue ? [] : [{ name: 'queue', label: 'Queue', required: true }]), { name: 'parallelism', label: 'Messages at once', type: 'number', min: 1, value: queue ? String(queue.parallelism) : '1', required: true }] });
    if (got) await act(context, () => send('POST', 'v2/queues', { queueName: queue ? queue.name : got.queue, parallelism: Number(got.parallelism) }), 'Saved.');
  }
  return [h('h1', {}, 'Queues'), h('div', { class: 'actions' }, button('New queue…', () => change(), { kind: 'primary', off: locked() })),
    table('Queues', [
      { name: 'Queue', cell: q => h('a', { href: '#/messages' + query({ queueName: q.name }) }, q.name) },
      { name: 'State', cell: q => q.paused ? state('paused') : state('running', 'on') },
      { name: 'Not ended', kind: 'number', cell: q => number(q.lag) }, { name: 'At once', kind: 'number', cell: q => q.parallelism },
      { name: 'Oldest due', cell: q => lanes.due(q.name) }, { name: 'Changed', cell: q => time(q.updatedAt) },
      { name: 'Actions', cell: q => h('div', { class: 'actions' },
        q.paused ? button('Resume', () => act(context, () => send('POST', `v2/queues/${enc(q.name)}/resume`), 'Resumed.'), { off: locked(), label: 'Resume ' + q.name })
          : button('Pause…', () => asked(context, { title: `Pause ${q.name}?`, text: `${number(q.lag)} messages then wait. Attempts in flight end as they do.`, action: 'Pause it', dangerous: false },
            () => send('POST', `v2/queues/${enc(q.name)}/pause`), 'Paused.'), { off: locked(), label: 'Pause ' + q.name }),
        button('Parallelism…', () => change(q), { off: locked(), label: 'Parallelism of ' + q.name }),
        button('Delete…', () => asked(context, { title: `Delete queue ${q.name}?`, text: `Its ${number(q.lag)} messages are cancelled, those in flight end with their attempt. It can't be undone.`, action: `Delete it and cancel ${number(q.lag)}` },
          () => send('DELETE', 'v2/queues/' + enc(q.name)), 'Deleted.'), { kind: 'danger', off: locked(), label: 'Delete ' + q.name })) },
    ], all, 'No queues. A queue delivers in order.')];
}

export async function flows(context) {
  const all = await call('v2/flowControl' + query({ search: context.values.search }), { signal: context.signal });
  const key = f => f.flowControlKey;
  const lanes = await waits(context, 'flowControlKey', all.map(key));
  const at = (f, verb) => `v2/flowControl/${enc(key(f))}/${verb}`;
  async function pin(f) {
    const got = await ask({ title: `Pin ${key(f)}`, text: 'Pinned limits hold whatever messages say.', action: 'Pin', fields: [
      { name: 'parallelism', label: 'At once, empty for as it is', type: 'number', min: 1, value: f.parallelismMax }, { name: 'rate', label: 'Starts in a period, empty for as it is', type: 'number', min: 1, value: f.rateMax }, { name: 'period', label: 'Period in seconds', type: 'number', min: 1, value: f.rateMax && f.ratePeriod }] });
    if (got) await act(context, () => send('POST', at(f, 'pin') + query(got)), 'Pinned.');
  }
  const limit = f => [f.parallelismMax && `${number(f.parallelismCount ?? 0)} of ${number(f.parallelismMax)} at once`, f.rateMax && `${number(f.rateCount ?? 0)} of ${number(f.rateMax)} in ${f.ratePeriod} s`].filter(Boolean).join(', ') || 'no limit';
  return [h('h1', {}, 'Flow control'), filters([{ name: 'search', label: 'Key contains' }], context.values, context.go),
    table('Flow keys', [
      { name: 'Key', cell: f => h('a', { href: '#/messages' + query({ flowControlKey: key(f) }), class: 'wrap' }, key(f)) },
      { name: 'State', cell: f => f.isPaused ? state('paused') : state('running', 'on') },
      { name: 'Waiting', kind: 'number', cell: f => number(f.waitListSize ?? 0) }, { name: 'Limits', cell: limit },
      { name: 'Pinned', cell: f => [f.isPinnedParallelism && 'parallelism', f.isPinnedRate && 'rate'].filter(Boolean).join(', ') || '–' },
      { name: 'Oldest due', cell: f => lanes.due(key(f)) },
      { name: 'Actions', cell: f => h('div', { class: 'actions' },
        f.isPaused ? button('Resume', () => act(context, () => send('POST', at(f, 'resume')), 'Resumed.'), { off: locked(), label: 'Resume ' + key(f) })
          : button('Pause…', () => asked(context, { title: `Pause ${key(f)}?`, text: `${number(f.waitListSize ?? 0)} waiting messages stay where they are.`, action: 'Pause it', dangerous: false }, () => send('POST', at(f, 'pause')), 'Paused.'), { off: locked(), label: 'Pause ' + key(f) }),
        button(f.isPinnedParallelism || f.isPinnedRate ? 'Edit pin…' : 'Pin…', () => pin(f), { off: locked(), label: 'Pin ' + key(f) }),
        (f.isPinnedParallelism || f.isPinnedRate) && button('Unpin', () => act(context, () => send('POST', at(f, 'unpin') + '?parallelism=true&rate=true'), 'Unpinned.'), { off: locked(), label: 'Unpin ' + key(f) }),
        button('Reset rate', () => act(context, () => send('POST', at(f, 'resetRate')), 'A new period begins.'), { off: locked(), label: 'Reset the rate of ' + key(f) }),
        button('Reset counts…', () => asked(context, { title: `Reset the counts of ${key(f)}?`, text: 'Its rate and its parallelism are counted from zero: more may run at once until those in flight have ended.', action: 'Reset them', dangerous: false },
          () => send('POST', at(f, 'reset')), 'Counted from zero.'), { off: locked(), label: 'Reset the counts of ' + key(f) })) },
    ], all, 'No flow keys. They come with the first message that names one.')];
}

// What the schedule would publish, as a message of its own; the schedule itself stays as it is.
async function runNow(context, s) {
  const headers = { 'Upstash-Method': s.method, 'Upstash-Retries': String(s.retries) };
  const put = (name, value) => { if (value !== undefined && value !== '') headers[name] = String(value); };
  const forward = (map, prefix) => { for (const [name, list] of Object.entries(map || {})) put(/^content-type$/i.test(name) && !prefix ? name : `Upstash-${prefix}Forward-${name}`, [list].flat().join(', ')); };
  forward(s.header, '');
  forward(s.callbackHeader, 'Callback-');
  forward(s.failureCallbackHeader, 'Failure-Callback-');
  put('Upstash-Delay', s.delay && s.delay + 's');
  put('Upstash-Timeout', s.timeout && s.timeout + 's');
  put('Upstash-Retry-Delay', s.retryDelayExpression);
  put('Upstash-Callback', s.callback);
  put('Upstash-Failure-Callback', s.failureCallback);
  put('Upstash-Label', (s.labels || []).join(','));
  if (s.flowControlKey) {
    const limits = [s.parallelism && 'parallelism=' + s.parallelism, s.rate && 'rate=' + s.rate, s.rate && `period=${s.period}s`].filter(Boolean).join(', ');
    put('Upstash-Flow-Control-Key', s.flowControlKey);
    put('Upstash-Flow-Control-Value', limits);
  }
  const body = s.bodyBase64 ? Uint8Array.from(atob(s.bodyBase64), c => c.charCodeAt(0)) : s.body ?? '';
  const path = s.queueName ? `v2/enqueue/${enc(s.queueName)}/` : 'v2/publish/';
  await asked(context, { title: 'Publish 1 message now?', text: `What ${s.scheduleId} publishes, to ${s.destination}. Its next run stays as planned.`, action: 'Publish it', dangerous: false },
    () => raw(path + s.destination, { method: 'POST', headers, body }), 'Published.');
}
const isHidden = s => JSON.stringify([s.header, s.callbackHeader, s.failureCallbackHeader, s.body]).includes('REDACTED');

export async function schedules(context) {
  const all = await call('v2/schedules', { signal: context.signal });
  const runs = s => Object.entries(s.lastScheduleStates || {});
  return [h('h1', {}, 'Schedules'),
    table('Schedules', [
      { name: 'Schedule', cell: s => [mono(s.scheduleId), s.error ? h('div', { class: 'bad' }, s.error) : null].filter(Boolean) },
      { name: 'Cron', cell: s => mono(s.cron) }, { name: 'Destination', cell: s => mono(`${s.method} ${s.destination}`) },
      { name: 'State', cell: s => s.isPaused ? state('paused') : state('running', 'on') },
      { name: 'Next run', cell: s => s.isPaused ? 'paused' : time(s.nextScheduleTime) },
      { name: 'Last run', cell: s => h('span', {}, time(s.lastScheduleTime), runs(s).slice(0, 3).map(([id, result]) => h('div', {}, h('a', { href: '#/messages/' + enc(id), title: id }, state(result))))) },
      { name: 'Actions', cell: s => h('div', { class: 'actions' },
        s.isPaused ? button('Resume', () => act(context, () => send('PATCH', `v2/schedules/${enc(s.scheduleId)}/resume`), 'Resumed.'), { off: locked(), label: 'Resume ' + s.scheduleId })
          : button('Pause', () => act(context, () => send('PATCH', `v2/schedules/${enc(s.scheduleId)}/pause`), 'Paused.'), { off: locked(), label: 'Pause ' + s.scheduleId }),
        button('Run now…', () => runNow(context, s), { off: !session.rights.publish || isHidden(s), label: 'Run ' + s.scheduleId + ' now' }),
        button('Delete…', () => asked(context, { title: 'Delete 1 schedule?', text: `${s.scheduleId} (${s.cron}) to ${s.destination}. Messages it has made stay.`, action: 'Delete it' },
          () => send('DELETE', 'v2/schedules/' + enc(s.scheduleId)), 'Deleted.'), { kind: 'danger', off: locked(), label: 'Delete ' + s.scheduleId })) },
    ], all, 'No schedules.')];
}

const names = [['url', 'URL'], ['queueName', 'Queue'], ['topicName', 'Topic'], ['scheduleId', 'Schedule'], ['label', 'Label'], ['flowControlKey', 'Flow key']].map(([name, label]) => ({ name, label }));

export async function dead(context) {
  const { cursor, ...kept } = context.values;
  const [page, found] = await Promise.all([call('v2/dlq' + query({ ...kept, cursor, trimBody: 300, count: 50 }), { signal: context.signal }),
    call('console/api/count' + query({ of: 'dead', ...kept }), { signal: context.signal })]);
  const many = number(found.count) + (found.isWhole ? '' : ' or more');
  // What came after the question was asked is not meant.
  async function all(method, path, title, text, word, done) {
    if (!await ask({ title: title(many), text, action: word + ' ' + many, dangerous: method === 'DELETE' })) return;
    await attempt(async () => {
      const toDate = kept.toDate || Date.now();
      let next, count = 0;
      do {
        const answer = await send(method, path + query({ ...kept, toDate, cursor: next, count: 100 }));
        count += answer.deleted ?? answer.responses?.length ?? 0;
        next = answer.cursor;
        say(`${number(count)} ${done} …`);
      } while (next);
      say(`${number(count)} ${done}.`);
      context.again();
    });
  }
  return [h('h1', {}, 'Dead letters'), filters([...names, { name: 'responseStatus', label: 'Last status' }, ...range], kept, context.go),
    h('div', { class: 'bar-row' }, h('p', {}, h('strong', {}, many), ' match.'), h('div', { class: 'actions' },
      button(`Retry all ${many}…`, () => all('POST', 'v2/dlq/retry', n => `Retry ${n} dead letters?`, 'Each becomes a new message and leaves this list.', 'Retry', 'retried'), { off: locked() || !found.count }),
      button(`Delete all ${many}…`, () => all('DELETE', 'v2/dlq', n => `Delete ${n} dead letters?`, "It can't be undone.", 'Delete', 'deleted'), { kind: 'danger', off: locked() || !found.count }))),
    table('Dead letters', [
      { name: 'Message', cell: d => messageLink(d.messageId) }, { name: 'Destination', cell: d => mono(`${d.method} ${d.url}`) },
      { name: 'Status', cell: d => d.responseStatus ? state(String(d.responseStatus), 'failed') : state('no answer', 'failed') },
      { name: 'Answer', cell: d => d.responseBody || d.responseBodyBase64 ? h('details', {}, h('summary', {}, 'Show'), h('pre', { tabindex: 0 }, d.responseBody || '(not text)')) : '–' },
      { name: 'Through', cell: d => [d.queueName && 'queue ' + d.queueName, d.topicName && 'topic ' + d.topicName, d.scheduleId && 'schedule ' + d.scheduleId].filter(Boolean).join(', ') || '–' },
      { name: 'Created', cell: d => time(d.createdAt) },
      { name: 'Actions', cell: d => h('div', { class: 'actions' },
        button('Retry', () => act(context, () => send('POST', 'v2/dlq/retry/' + enc(d.dlqId)), 'Retried.'), { off: locked(), label: 'Retry ' + d.messageId }),
        button('Delete…', () => asked(context, { title: 'Delete 1 dead letter?', text: `${d.messageId} to ${d.url}. It can't be undone.`, action: 'Delete it' },
          () => send('DELETE', 'v2/dlq/' + enc(d.dlqId)), 'Deleted.'), { kind: 'danger', off: locked(), label: 'Delete ' + d.messageId })) },
    ], page.messages, 'No dead letters match.'),
    h('div', { class: 'actions' }, cursor && button('First page', () => context.go(kept)), page.cursor && button('Older', () => context.go({ ...kept, cursor: page.cursor })))];
}

const columns = [
  { name: 'Time', cell: e => h('span', {}, time(e.time), h('div', { class: 'quiet mono' }, exact(e.time).slice(11))) }, { name: 'State', cell: e => state(e.state) },
  { name: 'Message', cell: e => messageLink(e.messageId) }, { name: 'Destination', cell: e => mono(e.url) },
  { name: 'What', cell: e => [e.responseStatus && `answered ${e.responseStatus}`, e.error].filter(Boolean).join(': ') || '–' },
];
// How the events of the whole range lie in time; a bar narrows the range to its part.
const kinds = [['failed', 'failed', ['ERROR', 'FAILED']], ['retried or cancelled', 'retried', ['RETRY', 'CANCEL_REQUESTED', 'CANCELED']], ['others', 'delivered', ['CREATED', 'ACTIVE', 'IN_PROGRESS', 'DELIVERED']]];
function histogram(found, narrow) {
  const times = found.bars.map(b => b.time), ends = [...times.slice(1), found.to];
  const series = kinds.map(([name, kind, states]) => ({ name, kind, values: found.bars.map(b => states.reduce((all, s) => all + (b[s] || 0), 0)) }));
  return [plot(`${number(found.events)} events`, `a bar is ${duration(ends[0] - times[0])}`, times, series,
    { end: found.to, choose: i => narrow({ fromDate: String(times[i]), toDate: String(ends[i]) }) }),
  found.reached && h('p', { class: 'quiet' }, `The newest ${number(found.events)} that match: what was before ${exact(found.reached)} is not in the bars. `,
    button('Look before that', () => narrow({ toDate: String(found.reached) })))];
}

export async function logs(context) {
  const { cursor, ...kept } = context.values;
  const page = await call('v2/logs' + query({ ...kept, cursor, count: 500, trimBody: 0 }), { signal: context.signal });
  // The whole range takes longer than a page of it.
  const bars = h('div', { 'aria-live': 'polite' }, h('p', { class: 'quiet' }, 'Counting what matches …'));
  attempt(async () => {
    const found = await call('console/api/histogram' + query(kept), { signal: context.signal });
    bars.replaceChildren(...[found.events ? histogram(found, part => context.go({ ...kept, ...part })) : []].flat().filter(Boolean));
  });
  const place = h('div', {}, bars, table('Log', columns, page.logs, 'Nothing matches.'));
  const live = button('Live tail', () => following ? stop() : follow());
  live.setAttribute('aria-pressed', 'false');
  let following = null;
  function stop() { following?.abort(); following = null; live.textContent = 'Live tail'; live.setAttribute('aria-pressed', 'false'); }
  // Goes on until it is stopped: behind the last event it has, so that a broken connection costs none and doubles none.
  async function follow() {
    const mine = following = new AbortController(), rows = [], { fromDate, toDate, ...wanted } = kept;
    context.signal.addEventListener('abort', stop);
    live.textContent = 'Stop the tail';
    live.setAttribute('aria-pressed', 'true');
    const note = h('p', { class: 'quiet', role: 'status' }), shown = h('div', {}, h('p', { class: 'quiet' }, 'Connecting …'));
    place.replaceChildren(note, shown);
    for (let last, wait = 1000; following === mine; wait = Math.min(2 * wait, 15e3)) {
      try {
        const response = await raw('console/api/tail' + query({ ...wanted, cursor: last }), { signal: mine.signal });
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        for (let text = ''; ;) {
          const { value, done } = await reader.read();
          if (done) break;
          const parts = (text + value).split('\n\n');
          text = parts.pop();
          const events = parts.map(p => Object.fromEntries(p.split('\n').map(l => [l.slice(0, l.indexOf(':')), l.slice(l.indexOf(':') + 2)])));
          for (const event of events) last = event.id || (event.event === 'open' ? last || event.data : last);
          wait = 1000;
          note.textContent = '';
          if (!rows.length) shown.replaceChildren(h('p', { class: 'empty' }, 'Waiting for the next event …'));
          const fresh = events.filter(e => e.id).map(e => JSON.parse(e.data));
          if (!fresh.length) continue;
          rows.unshift(...fresh.reverse());
          rows.length = Math.min(rows.length, 300);
          shown.replaceChildren(table('Live tail', columns, rows, ''));
        }
      } catch (error) {
        if (error.name === 'AbortError') return;
        if (error.status >= 400 && error.status < 500) { say(error.message, true); return stop(); }
      }
      if (following !== mine) return;
      note.textContent = `The connection broke. Trying again in ${duration(wait)}, from where it was.`;
      await new Promise(resolve => setTimeout(resolve, wait));
    }
  }
  return [h('h1', {}, 'Logs'), filters([{ name: 'messageId', label: 'Message' },
    { name: 'state', label: 'State', attributes: { options: [['', 'any'], ...['CREATED', 'ACTIVE', 'ERROR', 'RETRY', 'DELIVERED', 'FAILED', 'CANCEL_REQUESTED', 'CANCELED'].map(s => [s, s])] } },
    ...names, { name: 'host', label: 'Host' }, ...range], kept, context.go),
  h('div', { class: 'bar-row' }, h('p', { class: 'quiet' }, `${number(page.logs.length)} events, newest first${page.cursor ? ', more behind' : ''}.`), live), place,
  h('div', { class: 'actions' }, cursor && button('First page', () => context.go(kept)), page.cursor && button('Older', () => context.go({ ...kept, cursor: page.cursor })))];
}

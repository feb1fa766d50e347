// What lives: the list with its filters, and one message with all that is known of it.
import { h, session, call, send, query, time, exact, say, attempt, ask, table, button, state, filters, range, facts, messageLink, curlLine, copy, number, duration, CallError } from './kit.js';

const shown = { waiting: ['waiting', 'waiting'], active: ['in flight', 'active'] };
const stateOf = m => m.retried && m.state === 'waiting' ? state(`retry ${m.retried}`, 'retry') : state(...(shown[m.state] || [m.state]));

export async function list(context) {
  const { values, go } = context;
  const page = await call('console/api/messages' + query(values), { signal: context.signal });
  const { behind, state: wanted, ...kept } = values;
  async function cancelAll() {
    await attempt(async () => {
      const found = await call('console/api/count' + query({ of: 'messages', ...kept }));
      const count = number(found.count) + (found.isWhole ? '' : ' or more');
      if (!found.count) return say('No live message matches.');
      const words = Object.entries(kept).map(([k, v]) => `${k} = ${v}`).join(', ') || 'no filter: everything';
      if (!await ask({ title: `Cancel ${count} messages?`, text: `${words}. Those in flight end with their attempt. It can't be undone.`, action: `Cancel ${count}`, dangerous: true })) return;
      say(`${number((await send('DELETE', 'v2/messages' + query(kept))).cancelled)} cancelled.`);
      context.again();
    });
  }
  return [h('h1', {}, 'Messages'),
    filters([
      { name: 'state', label: 'State', attributes: { options: [['', 'any'], ['waiting', 'waiting'], ['active', 'in flight'], ['retry', 'between retries']] } },
      { name: 'url', label: 'URL' }, { name: 'host', label: 'Host' }, { name: 'queueName', label: 'Queue' }, { name: 'flowControlKey', label: 'Flow key' },
      { name: 'topicName', label: 'Topic' }, { name: 'label', label: 'Label' }, ...range,
    ], values, go),
    h('form', { class: 'inline', onsubmit: event => { event.preventDefault(); location.hash = '#/messages/' + encodeURIComponent(event.target.id.value.trim()); } },
      h('label', { for: 'open-id' }, 'Open by id'), h('input', { id: 'open-id', name: 'id', placeholder: 'msg_…', required: true }), h('button', { type: 'submit' }, 'Open')),
    h('div', { class: 'bar-row' }, h('p', { class: 'quiet' }, `${page.messages.length} shown, newest first${page.next ? ', more behind' : ''}.`),
      button('Cancel all that match…', cancelAll, { kind: 'danger', off: !session.rights.manage || !!wanted })),
    wanted && h('p', { class: 'quiet' }, 'A bulk cancel knows no state: clear that filter for it.'),
    table('Live messages', [
      { name: 'Message', cell: m => messageLink(m.messageId) }, { name: 'State', cell: stateOf },
      { name: 'Destination', cell: m => h('span', { class: 'mono wrap' }, m.method + ' ' + m.url) },
      { name: 'Through', cell: m => [m.queueName && 'queue ' + m.queueName, m.flowControlKey && 'flow ' + m.flowControlKey, m.topicName && 'topic ' + m.topicName].filter(Boolean).join(', ') || '–' },
      { name: 'Created', cell: m => time(m.createdAt) }, { name: 'Not before', cell: m => m.notBefore > m.createdAt ? time(m.notBefore) : '–' },
    ], page.messages, page.next ? `Nothing in the ${number(page.scanned)} looked at.` : 'No live message matches. What has ended stands in the logs.'),
    h('div', { class: 'actions' }, behind && button('First page', () => { const { behind: _, ...rest } = values; go(rest); }),
      page.next && button('Older', () => go({ ...values, behind: page.next })))];
}

function decode(entry) {
  if (entry === undefined) return '';
  try { return new TextDecoder().decode(Uint8Array.from(atob(entry), c => c.charCodeAt(0))); } catch { return entry; }
}
const headers = map => Object.entries(map || {}).flatMap(([name, list]) => [list].flat().map(value => `${name}: ${value}`)).join('\n');
function block(title, text) { return text ? h('section', {}, h('h3', {}, title), h('pre', { tabindex: 0, 'aria-label': title }, text)) : null; }

// The line that publishes the same once more; timeout in seconds.
function again(m, body, isLive, timeout) {
  const pairs = (map, prefix) => Object.entries(map || {}).flatMap(([name, list]) => [list].flat().map(value => [/^content-type$/i.test(name) && prefix === 'Upstash-Forward-' ? name : prefix + name, value]));
  const limits = ['parallelism', 'rate', 'period'].filter(name => m[name]).map(name => name + '=' + m[name] + (name === 'period' ? 's' : '')).join(', ');
  return curlLine('v2/' + (m.queueName ? `enqueue/${encodeURIComponent(m.queueName)}/` : 'publish/') + m.url, [
    ['Upstash-Method', m.method !== 'POST' && m.method], ['Upstash-Not-Before', isLive && m.notBefore > Date.now() && Math.ceil(m.notBefore / 1000)],
    ['Upstash-Retries', m.maxRetries === undefined ? '' : String(m.maxRetries)], ['Upstash-Retry-Delay', m.retryDelayExpression], ['Upstash-Timeout', timeout && timeout + 's'],
    ['Upstash-Callback', m.callback], ...pairs(m.callbackHeader || m.callbackHeaders, 'Upstash-Callback-Forward-'),
    ['Upstash-Failure-Callback', m.failureCallback], ...pairs(m.failureCallbackHeader || m.failureCallbackHeaders, 'Upstash-Failure-Callback-Forward-'),
    ['Upstash-Flow-Control-Key', m.flowControlKey], ['Upstash-Flow-Control-Value', m.flowControlKey && limits], ['Upstash-Label', (m.labels || []).join(',')],
    ...pairs(m.header, 'Upstash-Forward-')], body);
}

export async function one(id, context) {
  const pick = promise => promise.catch(error => { if (error.status === 404) return null; throw error; });
  const [why, log] = await Promise.all([
    call('console/api/why' + query({ id }), { signal: context.signal }),
    call('v2/logs' + query({ messageId: id, count: 1000 }), { signal: context.signal }),
  ]);
  const message = why.reason === 'none' ? null : await pick(call('v2/messages/' + encodeURIComponent(id), { signal: context.signal }));
  const events = log.logs || [], first = events.at(-1), m = message || first;
  if (!m) throw new CallError(404, `${id} is neither alive nor in the log.`);
  const isLive = !['none', 'ended'].includes(why.reason);
  const lastState = events[0]?.state;
  const sentence = why.sentence || ({ DELIVERED: 'Delivered.', FAILED: 'Failed: it is a dead letter.', CANCELED: 'Cancelled.' }[lastState] || 'It has ended.');
  const body = message ? message.body ?? (message.bodyBase64 ? decode(message.bodyBase64) : '') : decode(first?.body);
  const curl = again(m, body, isLive, message ? m.timeout : m.timeout / 1000);
  async function cancel() {
    if (!await ask({ title: 'Cancel 1 message?', text: `${id} to ${m.url}. If it is in flight it ends with its attempt. It can't be undone.`, action: 'Cancel it', dangerous: true })) return;
    await attempt(async () => { await send('DELETE', 'v2/messages/' + encodeURIComponent(id)); say('Cancelled.'); context.again(); });
  }
  // Callbacks carry the id of their source in the body; they are looked for by their URL, from the source on.
  const targets = [...new Set([m.callback, m.failureCallback].filter(Boolean))];
  const looked = await Promise.all(targets.map(target => call('v2/logs' + query({ url: target, fromDate: m.createdAt || first?.time, count: 500, state: 'CREATED', order: 'earliestFirst' }), { signal: context.signal })
    .catch(error => { if (error.name === 'AbortError') throw error; return { logs: [] }; })));
  const callbacks = looked.flatMap(page => page.logs).filter(e => e.messageId !== id && decode(e.body).includes(id));
  const isCut = looked.some(page => page.cursor);
  return [h('p', {}, h('a', { href: '#/messages' }, 'All messages')), h('h1', { class: 'mono' }, id),
    h('p', { class: 'why' }, sentence, why.lastError ? ' Last error: ' + why.lastError : ''),
    h('div', { class: 'actions' }, isLive && button('Cancel…', cancel, { kind: 'danger', off: !session.rights.manage }), button('Copy as curl', () => copy(curl)), button('Refresh', context.again)),
    facts([['Destination', h('span', { class: 'mono wrap' }, `${m.method} ${m.url}`)], ['Created', m.createdAt || first?.time ? time(m.createdAt || first.time) : ''], ['Not before', m.notBefore ? time(m.notBefore) : ''],
      ['Retries', m.maxRetries], ['Retry delay', m.retryDelayExpression], ['Timeout', m.timeout && duration(message ? m.timeout * 1000 : m.timeout)],
      ['Queue', m.queueName && h('a', { href: '#/queues' }, m.queueName)], ['Flow key', m.flowControlKey && h('a', { href: '#/flows' }, m.flowControlKey)],
      ['Topic', m.topicName], ['Schedule', m.scheduleId], ['Labels', (m.labels || []).join(', ')], ['Callback', m.callback], ['Failure callback', m.failureCallback], ['Caller', m.callerIP]]),
    h('h2', {}, 'What happened'),
    events.length ? h('ol', { class: 'timeline' }, events.slice().reverse().map(e => h('li', {}, state(e.state), ' ', time(e.time), h('span', { class: 'quiet mono' }, ' ' + exact(e.time)),
      e.responseStatus ? h('div', {}, 'answered ' + e.responseStatus) : null, e.error ? h('div', { class: 'bad' }, e.error) : null,
      e.nextDeliveryTime && e.state !== 'CREATED' ? h('div', {}, 'next attempt ', time(e.nextDeliveryTime)) : null,
      e.responseHeader || e.responseBody ? h('details', {}, h('summary', {}, 'Response'), h('pre', { tabindex: 0 }, [headers(e.responseHeader), decode(e.responseBody)].filter(Boolean).join('\n\n'))) : null)))
      : h('p', { class: 'empty' }, 'The log has nothing of it.'),
    callbacks.length ? [h('h2', {}, 'Its callbacks'), h('ul', {}, callbacks.map(c => h('li', {}, messageLink(c.messageId), ' to ', c.url)))] : null,
    isCut && h('p', { class: 'quiet' }, 'Only the first 500 messages to its callback URL were looked at: there may be more of its callbacks.'),
    h('h2', {}, 'Request'), block('Headers', headers(m.header)), block('Body', body), block('As curl', curl)].flat().filter(Boolean);
}

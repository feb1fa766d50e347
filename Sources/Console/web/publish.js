// Publishing by hand, signing keys, and the checker of signatures.
import { h, session, raw, call, send, say, attempt, ask, button, field, curlLine, copy, messageLink } from './kit.js';

// Each option: name in the form, label, header, attributes, hint.
const delivery = [
  ['method', 'Method', 'Upstash-Method', { options: ['POST', 'GET', 'PUT', 'PATCH', 'DELETE'].map(m => [m, m]) }],
  ['retries', 'Retries', 'Upstash-Retries', { type: 'number', min: 0 }], ['retryDelay', 'Retry delay', 'Upstash-Retry-Delay', { placeholder: 'pow(2, retried) * 1000' }, 'Expression, in ms'],
  ['delay', 'Delay', 'Upstash-Delay', { placeholder: '10m' }], ['timeout', 'Timeout', 'Upstash-Timeout', { placeholder: '30s' }], ['label', 'Label', 'Upstash-Label', {}],
];
const flow = [
  ['flowKey', 'Flow key', 'Upstash-Flow-Control-Key', {}],
  ['flowValue', 'Flow limits', 'Upstash-Flow-Control-Value', { placeholder: 'parallelism=3, rate=10, period=1m' }],
];
const forwards = { rows: 2, placeholder: 'X-Tenant: acme' };
// A callback is a message with options of its own, under its own prefix.
function callback(prefix, word) {
  const own = ([name, label, header, ...rest]) => [prefix + name, label, header.replace('Upstash-', `Upstash-${prefix}`), ...rest];
  return [[prefix, word + ' URL', 'Upstash-' + prefix.slice(0, -1), { type: 'url' }], ...delivery.map(own), ...flow.map(own),
    [prefix + 'headers', 'Headers to send along, one a line', `Upstash-${prefix}Forward-`, forwards]];
}
const groups = [
  ['', [['contentType', 'Content type', 'Content-Type', { placeholder: 'application/json' }], ...delivery,
    ['notBefore', 'Not before', 'Upstash-Not-Before', { inputmode: 'numeric' }, 'Unix time in seconds']]],
  ['Flow control and deduplication', [...flow, ['dedup', 'Deduplication id', 'Upstash-Deduplication-Id', {}],
    ['content', 'Deduplicate by content', 'Upstash-Content-Based-Deduplication', { options: [['', 'no'], ['true', 'yes']] }]]],
  ['Callback', callback('Callback-', 'Callback')], ['Failure callback', callback('Failure-Callback-', 'Failure callback')],
  ['Schedule', [['cron', 'Cron: makes a schedule', 'Upstash-Cron', { placeholder: '*/5 * * * *' }], ['scheduleId', 'Schedule id', 'Upstash-Schedule-Id', {}]]],
  ['Storage, logs and traces', [['ack', 'Wait for', 'Roost-Ack', { options: [['', 'as the server is set'], ['memory', 'memory'], ['fsync', 'fsync'], ['replica:1', 'replica:1']] }],
    ['redact', 'Hide in logs', 'Upstash-Redact-Fields', { placeholder: 'body, header' }], ['trace', 'Trace context', 'traceparent', { placeholder: '00-…-…-01' }]]],
];
const options = groups.flatMap(group => group[1]);

export async function form() {
  const line = h('pre', { tabindex: 0, 'aria-label': 'The same as a curl line' }), result = h('div', { role: 'status' });
  const page = h('form', { class: 'grid-form', oninput: update, onsubmit: async event => {
    event.preventDefault();
    result.replaceChildren();
    await attempt(async () => {
      const { path, headers, body } = read();
      const answer = await (await raw(path, { method: 'POST', headers, body })).json();
      const ids = [answer].flat().map(a => a.messageId).filter(Boolean);
      result.replaceChildren(h('p', { class: 'good' }, answer.scheduleId ? 'Schedule ' + answer.scheduleId + ' made.' : 'Published: ', ids.map(id => [messageLink(id), ' '])));
    });
  } },
  h('div', { class: 'wide' }, field('destination', 'Destination: a URL or the name of a topic', { required: true, placeholder: 'https://example.com/hook' })),
  field('queue', 'Queue', {}), fields(groups[0][1]), field('headers', 'Headers to forward, one a line', { rows: 3, placeholder: 'X-Tenant: acme' }), field('body', 'Body', { rows: 6 }),
  groups.slice(1).map(([title, inside]) => h('details', { class: 'wide' }, h('summary', {}, title), h('div', { class: 'grid-form' }, fields(inside)))),
  h('div', { class: 'actions wide' }, h('button', { type: 'submit', class: 'primary', disabled: !session.rights.publish }, 'Publish'), button('Copy as curl', () => copy(line.textContent))));
  function fields(inside) { return inside.map(([name, label, , attributes, hint]) => field(name, label, attributes, hint)); }
  function read() {
    const v = Object.fromEntries([...new FormData(page)].map(([k, x]) => [k, k === 'body' ? x : x.trim()]));
    const headers = {};
    const forward = (lines, prefix) => {
      for (const text of lines.split('\n')) {
        const colon = text.indexOf(':');
        if (colon > 0) headers[prefix + text.slice(0, colon).trim()] = text.slice(colon + 1).trim();
      }
    };
    forward(v.headers, 'Upstash-Forward-');
    for (const [name, , header] of options) {
      if (header.endsWith('-Forward-')) forward(v[name], header);
      else if (v[name] && !(name.endsWith('method') && v[name] === 'POST')) headers[header] = v[name];
    }
    let path = 'v2/' + (v.cron ? 'schedules/' : v.queue ? `enqueue/${encodeURIComponent(v.queue)}/` : 'publish/') + v.destination;
    if (v.cron && v.queue) headers['Upstash-Queue-Name'] = v.queue;
    return { path, headers, body: v.body };
  }
  function update() {
    const { path, headers, body } = read();
    line.textContent = curlLine(path, Object.entries(headers), body);
  }
  update();
  return [h('h1', {}, 'Publish'), !session.rights.publish && h('p', { class: 'quiet' }, 'This token may not publish.'), page, result, h('h2', {}, 'The same as a curl line'), line].filter(Boolean);
}

export async function keys(context) {
  const verdict = h('div', { role: 'status' });
  const checker = h('form', { class: 'grid-form', onsubmit: async event => {
    event.preventDefault();
    const v = Object.fromEntries(new FormData(checker));
    await attempt(async () => {
      const answer = await send('POST', 'console/api/check', v);
      verdict.replaceChildren(answer.valid ? h('p', { class: 'good' }, 'Valid: made with one of the keys, in time, for this body' + (v.url ? ' and this URL.' : '.'))
        : h('p', { class: 'bad' }, 'Not valid: ' + answer.problem + '.'));
    });
  } }, field('signature', 'Upstash-Signature', { rows: 4, required: true }), h('div', { class: 'wide' }, field('url', 'URL, empty to leave it unchecked', { type: 'url' })), field('body', 'Body as it was received', { rows: 4 }),
  h('div', { class: 'actions wide' }, h('button', { type: 'submit', class: 'primary' }, 'Check')));
  let pair = h('p', { class: 'quiet' }, 'Seeing and rotating the signing keys needs a token with the right admin.');
  if (session.rights.admin) {
    const found = await call('v2/keys', { signal: context.signal });
    const row = (name, value) => {
      const shown = h('code', {}, '••••••••');
      return h('p', {}, h('strong', {}, name), ' ', shown, ' ', button('Show', () => { shown.textContent = value; }, { label: 'Show the ' + name }), ' ', button('Copy', () => copy(value), { label: 'Copy the ' + name }));
    };
    pair = h('div', {}, row('current key', found.current), row('next key', found.next), button('Rotate…', async () => {
      if (!await ask({ title: 'Rotate the signing keys?', text: 'The next key becomes the current one, a new next one is made, and the current one is gone for good. Receivers that know both go on working; then give them the new pair.', action: 'Rotate', dangerous: true })) return;
      await attempt(async () => { await send('POST', 'v2/keys/rotate'); say('Rotated.'); context.again(); });
    }, { kind: 'danger' }));
  }
  return [h('h1', {}, 'Keys'), h('h2', {}, 'Signing keys'), pair, h('h2', {}, 'Check a signature'),
    h('p', { class: 'quiet' }, 'Tells which check a receiver would fail at: form, key, URL, time, body.'), checker, verdict];
}

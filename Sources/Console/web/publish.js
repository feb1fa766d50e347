// Publishing by hand, signing keys, and the checker of signatures.
import { h, session, raw, call, send, url, say, attempt, ask, button, field, shell, copy, messageLink } from './kit.js';

const options = [
  ['method', 'Method', 'Upstash-Method', { options: ['POST', 'GET', 'PUT', 'PATCH', 'DELETE'].map(m => [m, m]) }],
  ['contentType', 'Content type', 'Content-Type', { placeholder: 'application/json' }],
  ['delay', 'Delay', 'Upstash-Delay', { placeholder: '10m' }], ['notBefore', 'Not before', 'Upstash-Not-Before', { inputmode: 'numeric' }, 'Unix time in seconds'],
  ['retries', 'Retries', 'Upstash-Retries', { type: 'number', min: 0 }], ['retryDelay', 'Retry delay', 'Upstash-Retry-Delay', { placeholder: 'pow(2, retried) * 1000' }, 'Expression, in ms'],
  ['timeout', 'Timeout', 'Upstash-Timeout', { placeholder: '30s' }], ['callback', 'Callback URL', 'Upstash-Callback', { type: 'url' }],
  ['failure', 'Failure callback URL', 'Upstash-Failure-Callback', { type: 'url' }], ['flowKey', 'Flow key', 'Upstash-Flow-Control-Key', {}],
  ['flowValue', 'Flow limits', 'Upstash-Flow-Control-Value', { placeholder: 'parallelism=3, rate=10, period=1m' }], ['label', 'Label', 'Upstash-Label', {}],
  ['dedup', 'Deduplication id', 'Upstash-Deduplication-Id', {}],
  ['content', 'Deduplicate by content', 'Upstash-Content-Based-Deduplication', { options: [['', 'no'], ['true', 'yes']] }],
  ['redact', 'Hide in logs', 'Upstash-Redact-Fields', { placeholder: 'body, header' }],
  ['ack', 'Wait for', 'Roost-Ack', { options: [['', 'as the server is set'], ['memory', 'memory'], ['fsync', 'fsync'], ['replica:1', 'replica:1']] }],
  ['cron', 'Cron: makes a schedule', 'Upstash-Cron', { placeholder: '*/5 * * * *' }], ['scheduleId', 'Schedule id', 'Upstash-Schedule-Id', {}],
];

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
  field('queue', 'Queue', {}), options.map(([name, label, , attributes, hint]) => field(name, label, attributes, hint)),
  field('headers', 'Headers to forward, one a line', { rows: 3, placeholder: 'X-Tenant: acme' }), field('body', 'Body', { rows: 6 }),
  h('div', { class: 'actions wide' }, h('button', { type: 'submit', class: 'primary', disabled: !session.rights.publish }, 'Publish'), button('Copy as curl', () => copy(line.textContent))));
  function read() {
    const v = Object.fromEntries([...new FormData(page)].map(([k, x]) => [k, k === 'body' ? x : x.trim()]));
    const headers = {};
    for (const [name, , header] of options) if (v[name] && !(name === 'method' && v[name] === 'POST')) headers[header] = v[name];
    for (const text of v.headers.split('\n')) {
      const colon = text.indexOf(':');
      if (colon > 0) headers['Upstash-Forward-' + text.slice(0, colon).trim()] = text.slice(colon + 1).trim();
    }
    let path = 'v2/' + (v.cron ? 'schedules/' : v.queue ? `enqueue/${encodeURIComponent(v.queue)}/` : 'publish/') + v.destination;
    if (v.cron && v.queue) headers['Upstash-Queue-Name'] = v.queue;
    return { path, headers, body: v.body };
  }
  function update() {
    const { path, headers, body } = read();
    line.textContent = ['curl -X POST ' + shell(url('') + path), '-H "Authorization: Bearer $QSTASH_TOKEN"',
      ...Object.entries(headers).map(([k, x]) => '-H ' + shell(k + ': ' + x)), body && '--data-binary ' + shell(body)].filter(Boolean).join(' \\\n  ');
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

// What every page uses: elements, calls, times, tables, questions. Text from outside only ever becomes text nodes.

export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'value') element.value = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat(Infinity).filter(c => c !== null && c !== undefined && c !== false));
  return element;
}

export const session = { token: '', rights: {} };
const stored = 'roost-token';
export function loadToken() { session.token = sessionStorage.getItem(stored) || ''; return session.token; }
export function keepToken(token) {
  session.token = token;
  if (token) sessionStorage.setItem(stored, token); else sessionStorage.removeItem(stored);
}

export class CallError extends Error {
  constructor(status, text) { super(text); this.status = status; }
}

// path: "v2/queues" or "console/api/overview", relative to what the API stands under.
export function url(path) { return new URL('../' + path, document.baseURI).href; }

export async function raw(path, options = {}) {
  let response;
  try {
    response = await fetch(url(path), {
      ...options, cache: 'no-store', credentials: 'omit',
      headers: { Authorization: 'Bearer ' + session.token, ...(options.headers || {}) },
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new CallError(0, 'The server does not answer.');
  }
  if (response.ok) return response;
  let text = response.statusText;
  try { text = (await response.json()).error || text; } catch { /* no JSON: the status says it */ }
  throw new CallError(response.status, text);
}
export async function call(path, options) { return (await raw(path, options)).json(); }
export const send = (method, path, body) => call(path, {
  method, ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
});
export function query(values) {
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== '' && value !== undefined && value !== null) pairs.set(name, value);
  const text = pairs.toString();
  return text ? '?' + text : '';
}

export const number = value => Number(value).toLocaleString('en-US', { maximumFractionDigits: value < 10 ? 2 : value < 100 ? 1 : 0 });
export function duration(ms) {
  const units = [[86400e3, 'd'], [3600e3, 'h'], [60e3, 'min'], [1e3, 's']];
  for (const [size, name] of units) if (ms >= size) return number(Math.floor(ms / size * 10) / 10) + ' ' + name;
  return number(Math.round(ms)) + ' ms';
}
export function bytes(count) {
  return count < 1024 ? count + ' B' : count < 1048576 ? number(count / 1024) + ' KiB' : number(count / 1048576) + ' MiB';
}
export const exact = ms => new Date(ms).toISOString();
export function away(ms) {
  const left = ms - Date.now();
  return Math.abs(left) < 1000 ? 'now' : left > 0 ? 'in ' + duration(left) : duration(-left) + ' ago';
}
export function time(ms) {
  return ms ? h('time', { datetime: exact(ms), title: exact(ms) }, away(ms)) : '–';
}

export function say(text, isError) {
  const status = document.getElementById('status');
  status.replaceChildren(h('p', { class: isError ? 'bad' : 'good' }, text));
  clearTimeout(say.timer);
  say.timer = setTimeout(() => status.replaceChildren(), 8000);
}
export async function attempt(action) {
  try { return await action(); } catch (error) {
    if (error.name !== 'AbortError') say(error.message, true);
    return undefined;
  }
}

// Resolves to true or false, or with fields to their values or null. The safe answer has the focus.
export function ask({ title, text, action, dangerous, fields = [] }) {
  const dialog = document.getElementById('ask');
  const inputs = fields.map(f => h('input', { id: 'ask-' + f.name, type: f.type || 'text', value: f.value || '', min: f.min, required: f.required }));
  return new Promise(resolve => {
    let answer = false;
    const form = h('form', { method: 'dialog', onsubmit: () => { answer = true; } },
      h('h2', { id: 'ask-title' }, title), text && h('p', {}, text),
      fields.map((f, i) => h('div', { class: 'field' }, h('label', { for: 'ask-' + f.name }, f.label), inputs[i])),
      h('div', { class: 'actions' },
        h('button', { type: 'button', onclick: () => dialog.close(), autofocus: !fields.length }, 'Keep as it is'),
        h('button', { type: 'submit', class: dangerous ? 'danger' : 'primary' }, action)));
    dialog.replaceChildren(form);
    dialog.addEventListener('close', () => {
      if (!fields.length) return resolve(answer);
      resolve(answer ? Object.fromEntries(fields.map((f, i) => [f.name, inputs[i].value.trim()])) : null);
    }, { once: true });
    dialog.showModal();
  });
}

// columns: {name, cell(row), kind: "number" for figures}. Below 640 px each row is a card with its labels.
export function table(label, columns, rows, empty) {
  if (!rows.length) return h('p', { class: 'empty' }, empty);
  return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': label },
    h('table', {}, h('caption', { class: 'unseen' }, label),
      h('thead', {}, h('tr', {}, columns.map(c => h('th', { scope: 'col', class: c.kind }, c.name)))),
      h('tbody', {}, rows.map(row => h('tr', {}, columns.map(c =>
        h('td', { 'data-label': c.name, class: c.kind }, c.cell(row))))))));
}
export function button(text, action, options = {}) {
  return h('button', {
    type: 'button', class: options.kind, 'aria-label': options.label, disabled: options.off || false,
    title: options.off ? 'This token may only read' : undefined, onclick: action,
  }, text);
}
export function state(text, kind) { return h('span', { class: 'state ' + (kind || String(text).toLowerCase()) }, text); }
export function field(name, label, attributes = {}, hint) {
  const input = attributes.options
    ? h('select', { name, id: 'f-' + name }, attributes.options.map(([value, text]) => h('option', { value, selected: value === attributes.value }, text)))
    : h(attributes.rows ? 'textarea' : 'input', { name, id: 'f-' + name, autocomplete: 'off', spellcheck: 'false', ...attributes,
      'aria-describedby': hint ? 'h-' + name : undefined });
  return h('div', { class: 'field' + (attributes.rows ? ' wide' : '') }, h('label', { for: 'f-' + name }, label), input,
    hint && h('small', { id: 'h-' + name }, hint));
}
// Times are entered in local time and kept in ms, so that a link means the same everywhere.
export const range = [{ name: 'fromDate', label: 'From', isTime: true }, { name: 'toDate', label: 'To', isTime: true }];
function local(ms) {
  const at = new Date(Number(ms));
  return isNaN(at) ? '' : new Date(at - at.getTimezoneOffset() * 60e3).toISOString().slice(0, 19);
}
export function filters(fields, values, apply) {
  const isTime = name => fields.find(f => f.name === name)?.isTime;
  const form = h('form', { class: 'filters', role: 'search', onsubmit: event => {
    event.preventDefault();
    apply(Object.fromEntries([...new FormData(form)].map(([k, v]) => [k, v.trim()]).filter(p => p[1])
      .map(([k, v]) => [k, isTime(k) ? String(new Date(v).getTime()) : v])));
  } }, fields.map(f => field(f.name, f.label, f.isTime ? { type: 'datetime-local', step: 1, value: values[f.name] ? local(values[f.name]) : '' } : { ...f.attributes, value: values[f.name] || '' })),
  h('div', { class: 'actions' }, h('button', { type: 'submit', class: 'primary' }, 'Show'), button('Clear', () => apply({}))));
  return form;
}
export function facts(pairs) {
  return h('dl', { class: 'facts' }, pairs.filter(p => p[1] !== undefined && p[1] !== null && p[1] !== '')
    .map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
}
export const messageLink = id => h('a', { href: '#/messages/' + encodeURIComponent(id), class: 'mono' }, id);
function shell(text) { return "'" + String(text).replaceAll("'", "'\\''") + "'"; }
// What publishes as `path` with these headers, [name, value] each; what has no value is left out.
export function curlLine(path, headers, body) {
  return ['curl -X POST ' + shell(url('') + path), '-H "Authorization: Bearer $QSTASH_TOKEN"',
    ...headers.filter(([, value]) => value).map(([name, value]) => '-H ' + shell(name + ': ' + value)), body && '--data-binary ' + shell(body)].filter(Boolean).join(' \\\n  ');
}
export async function copy(text) {
  try { await navigator.clipboard.writeText(text); say('Copied.'); }
  catch { say('The browser does not allow copying here: select the text instead.', true); }
}

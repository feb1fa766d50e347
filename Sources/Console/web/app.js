// The frame: token, navigation by the part behind #, the overview.
import { h, session, loadToken, keepToken, call, url, say, number, duration, bytes, away, button } from './kit.js';
import { plot } from './plot.js';
import * as messages from './messages.js';
import * as lists from './lists.js';
import * as publish from './publish.js';

const pages = [
  ['', 'Overview', overview], ['messages', 'Messages', messages.list], ['topics', 'Topics', lists.topics],
  ['queues', 'Queues', lists.queues], ['flows', 'Flow control', lists.flows], ['schedules', 'Schedules', lists.schedules],
  ['dead', 'Dead letters', lists.dead], ['logs', 'Logs', lists.logs], ['publish', 'Publish', publish.form], ['keys', 'Keys', publish.keys],
];
const main = document.getElementById('main');
let current = null;

// A page gets {values, go, alive, every}: the values behind "?", how to change them, whether it is still shown.
async function show(focus) {
  current?.abort();
  const mine = current = new AbortController();
  const [path, search = ''] = (location.hash.slice(2) || '').split('?');
  const [name, ...rest] = path.split('/');
  const page = pages.find(p => p[0] === name) || pages[0];
  const values = Object.fromEntries(new URLSearchParams(search));
  document.title = `${page[1]} – Roost`;
  for (const link of document.querySelectorAll('#nav a')) {
    if (link.dataset.page === page[0]) {
      link.setAttribute('aria-current', 'page');
      link.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    } else link.removeAttribute('aria-current');
  }
  const context = {
    values, signal: mine.signal, alive: () => !mine.signal.aborted,
    go: next => { const text = new URLSearchParams(next).toString(); location.hash = '#/' + path + (text ? '?' + text : ''); },
    again: () => show(),
    every(ms, action) {
      const timer = setInterval(() => { if (!document.hidden) action().catch(() => {}); }, ms);
      mine.signal.addEventListener('abort', () => clearInterval(timer));
    },
  };
  try {
    const shown = name === 'messages' && rest.length
      ? await messages.one(decodeURIComponent(rest.join('/')), context) : await page[2](context);
    if (!context.alive()) return;
    main.replaceChildren(...[shown].flat(Infinity).filter(Boolean));
  } catch (error) {
    if (!context.alive()) return;
    if (error.status === 401) { keepToken(''); return login(error.message); }
    main.replaceChildren(h('h1', {}, page[1]), h('p', { class: 'bad', role: 'alert' }, error.message), button('Try again', () => show()));
  }
  if (focus) main.focus({ preventScroll: true });
}

async function overview(context) {
  const cards = h('div', { class: 'cards' }), plots = h('div', { class: 'plots' }), health = h('p', { class: 'health' });
  async function refresh() {
    const o = await call('console/api/overview', { signal: context.signal });
    const minutes = o.minutes, last = minutes.at(-1), before = minutes.at(-2);
    const share = last ? 1 - (o.now - last.time) / 60000 : 0;
    const rate = name => last ? (last[name] + (before ? before[name] * Math.max(0, share) : 0)) / 60 : 0;
    const started = last ? last.started + (before?.started || 0) : 0;
    const late = started ? (last.lateness + (before?.lateness || 0)) / started : 0;
    const card = (name, value, note, href) => h('div', { class: 'card' },
      h('h2', {}, href ? h('a', { href }, name) : name), h('p', { class: 'figure' }, value), h('p', { class: 'quiet' }, note));
    const due = o.oldestDue ? (o.oldestDue > o.now ? ['in ' + duration(o.oldestDue - o.now), 'the next one is due'] : [duration(o.now - o.oldestDue), 'late already']) : ['none', 'nothing waits for a time'];
    cards.replaceChildren(
      card('Published', number(rate('published')), 'a second, last minute'), card('Delivered', number(rate('delivered')), 'a second, last minute'),
      card('Failed', number(rate('failed')), `a second; ${number(rate('retried'))} retried`), card('Lateness', duration(late), 'start after due, mean of two minutes'),
      card('In flight', number(o.inFlight ?? 0), 'held by nodes now', '#/messages?state=active'),
      card('Waiting', number((o.waiting ?? 0) + (o.due ?? 0)), `${number(o.waiting ?? 0)} in lanes, ${number(o.due ?? 0)} for their time`, '#/messages?state=waiting'),
      card('Oldest due', due[0], due[1]), card('Dead letters', number(o.deadLetters ?? 0), 'kept', '#/dead'));
    const times = minutes.map(m => m.time), line = (name, kind = name) => ({ name, kind, values: minutes.map(m => m[name]) });
    if (minutes.length) plots.replaceChildren(
      plot('Messages', 'a minute', times, [line('published'), line('delivered')]),
      plot('Attempts that did not deliver', 'a minute', times, [line('retried'), line('failed')]),
      plot('Lateness', 'ms, mean', times, [{ name: 'lateness', kind: 'published', values: minutes.map(m => m.started ? m.lateness / m.started : 0) }]));
    health.className = 'health ' + (o.redisProblem ? 'bad' : 'good');
    health.textContent = o.redisProblem ? 'Redis: ' + o.redisProblem
      : `Redis answers in ${duration(o.redisMicroseconds / 1000)} and takes writes. The log holds ${bytes(o.logBytes || 0)}` + (o.logShed ? `; ${number(o.logShed)} events went early for want of memory.` : '.');
  }
  await refresh();
  context.every(3000, refresh);
  return [h('h1', {}, 'Overview'), health, cards, h('h2', {}, 'The last hour'), plots];
}

function frame() {
  document.getElementById('nav').replaceChildren(h('ul', {}, pages.map(([path, name]) =>
    h('li', {}, h('a', { href: '#/' + path, 'data-page': path }, name)))));
  const rights = session.rights;
  document.getElementById('who').replaceChildren(
    h('span', { class: 'quiet' }, rights.token + (rights.admin ? '' : rights.manage ? ', no keys' : ', read only')),
    button('Sign out', () => { keepToken(''); login(); }));
}

function login(problem) {
  current?.abort();
  document.getElementById('nav').replaceChildren();
  document.getElementById('who').replaceChildren();
  document.title = 'Sign in – Roost';
  const input = h('input', { id: 'token', type: 'password', autocomplete: 'off', required: true, 'aria-describedby': 'token-hint' });
  const fault = h('p', { class: 'bad', role: 'alert' }, problem || '');
  main.replaceChildren(h('form', { class: 'login', onsubmit: async event => {
    event.preventDefault();
    keepToken(input.value.trim());
    try { await enter(); } catch (error) { keepToken(''); fault.textContent = error.message; input.focus(); }
  } }, h('h1', {}, 'Sign in'), h('label', { for: 'token' }, 'Token'), input,
  h('small', { id: 'token-hint' }, 'QSTASH_TOKEN or one of ROOST_TOKENS. This tab keeps it until it is closed.'),
  fault, h('button', { type: 'submit', class: 'primary' }, 'Sign in')));
  input.focus();
}

async function enter() {
  session.rights = await call('console/api/session');
  frame();
  await show();
}

document.getElementById('skip').addEventListener('click', event => { event.preventDefault(); main.focus(); });
window.addEventListener('hashchange', () => { if (session.token) show(true); });
async function start() {
  if (!loadToken()) {
    // Only roost dev answers this.
    const answer = ['127.0.0.1', 'localhost', '[::1]'].includes(location.hostname) && await fetch(url('console/api/dev-token')).catch(() => null);
    if (answer && answer.ok) keepToken((await answer.json()).token);
  }
  if (!session.token) return login();
  try { await enter(); } catch (error) {
    if (error.status === 401 || error.status === 403) { keepToken(''); login(error.message); } else { login(error.message); say(error.message, true); }
  }
}
// What stands there for a while must not go on saying "2 s ago".
setInterval(() => { for (const t of document.querySelectorAll('time')) t.textContent = away(Date.parse(t.dateTime)); }, 5000);
start();

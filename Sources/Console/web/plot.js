// Plots as SVG: lines over the minutes of an hour, or bars that stand on each other. Each has a sentence that says the same.
import { h, number } from './kit.js';

const ns = 'http://www.w3.org/2000/svg';
function s(tag, attributes, ...children) {
  const element = document.createElementNS(ns, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
function clock(ms, span) {
  const parts = { hour: '2-digit', minute: '2-digit', ...(span > 72e6 ? { day: '2-digit', month: 'short' } : span < 3e5 ? { second: '2-digit' } : {}) };
  return new Date(ms).toLocaleString('en-GB', parts);
}
function round(top) {
  const size = 10 ** Math.floor(Math.log10(Math.max(top, 1)));
  return [1, 2, 5, 10].map(n => n * size).find(n => n >= top) || 1;
}

// One stop of the tab key for all columns: the arrows go from one to the next, Enter and the space bar press it.
function walk(columns) {
  columns[0]?.setAttribute('tabindex', 0);
  columns.forEach((column, i) => column.addEventListener('keydown', event => {
    const to = { ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: columns.length - 1 }[event.key];
    if (event.key === 'Enter' || event.key === ' ') column.dispatchEvent(new MouseEvent('click'));
    else if (columns[to]) {
      column.setAttribute('tabindex', -1);
      columns[to].setAttribute('tabindex', 0);
      columns[to].focus();
    } else return;
    event.preventDefault();
  }));
}

// series: {name, kind (its class), values}; times: ms of each value. bars: {end (ms), choose(number of a bar)}.
export function plot(title, unit, times, series, bars) {
  const room = document.documentElement.clientWidth - 70, width = Math.max(260, bars ? room : Math.min(600, room)), height = 150, left = 46, bottom = 18, top = 8;
  const sum = i => series.reduce((all, line) => all + line.values[i], 0), span = (bars ? bars.end : times.at(-1)) - times[0];
  const most = round(Math.max(0, ...(bars ? times.map((_, i) => sum(i)) : series.flatMap(line => line.values))));
  const x = i => left + (width - left - 6) * (times.length < 2 ? 0 : i / (times.length - (bars ? 0 : 1)));
  const y = v => top + (height - top - bottom) * (1 - v / most);
  const summary = `${title}, ${clock(times[0], span)} to ${clock(bars ? bars.end : times.at(-1), span)}: ` + series.map(line => bars
    ? `${number(line.values.reduce((a, b) => a + b, 0))} ${line.name}`
    : `${line.name} ${number(line.values.at(-1))} ${unit} last, ${number(Math.max(...line.values))} at most`).join('; ') + '.';
  const drawing = s('svg', { viewBox: `0 0 ${width} ${height}`, role: bars?.choose ? 'group' : 'img', 'aria-label': summary });
  for (const share of [0, 0.5, 1]) {
    drawing.append(s('line', { x1: left, x2: width - 6, y1: y(most * share), y2: y(most * share), class: 'grid' }),
      s('text', { x: left - 6, y: y(most * share) + 4, 'text-anchor': 'end' }, number(most * share)));
  }
  for (const i of [0, Math.floor((times.length - 1) / 2), times.length - 1]) {
    drawing.append(s('text', { x: x(i), y: height - 4, 'text-anchor': i === 0 ? 'start' : i === times.length - 1 ? 'end' : 'middle' }, clock(times[i], span)));
  }
  const wide = (width - left - 6) / times.length, below = times.map(() => 0);
  for (const line of series) {
    if (bars) {
      line.values.forEach((v, i) => {
        if (v) drawing.append(s('rect', { x: x(i) + 1, y: y(below[i] + v), width: Math.max(1, wide - 2), height: Math.max(1, y(below[i]) - y(below[i] + v)), class: 'bar ' + line.kind }));
        below[i] += v;
      });
    } else {
      drawing.append(s('polyline', { points: line.values.map((v, i) => `${x(i).toFixed(1)},${y(v).toFixed(1)}`).join(' '), class: 'line ' + line.kind }));
    }
  }
  if (bars?.choose) {
    const columns = times.map((_, i) => {
      const label = `${clock(times[i], span)}: ${number(sum(i))}`;
      const column = s('rect', { x: x(i), y: top, width: wide, height: y(0) - top, class: 'column' }, s('title', {}, label));
      column.addEventListener('click', () => bars.choose(i));
      if (sum(i)) for (const [name, value] of [['role', 'button'], ['tabindex', -1], ['aria-label', label]]) column.setAttribute(name, value);
      return column;
    });
    drawing.append(...columns);
    walk(columns.filter((_, i) => sum(i)));
  }
  return h('figure', { class: 'plot' }, h('figcaption', {}, h('strong', {}, title), ' ', h('span', { class: 'quiet' }, unit),
    h('span', { class: 'legend' }, series.length > 1 && series.map(line => h('span', { class: 'key ' + line.kind }, line.name)))), drawing);
}

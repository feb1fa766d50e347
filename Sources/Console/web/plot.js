// Plots as SVG: lines over the minutes of an hour, or bars. Each has a sentence that says the same.
import { h, number } from './kit.js';

const ns = 'http://www.w3.org/2000/svg';
function s(tag, attributes, ...children) {
  const element = document.createElementNS(ns, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
const clock = ms => new Date(ms).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
function round(top) {
  const size = 10 ** Math.floor(Math.log10(Math.max(top, 1)));
  return [1, 2, 5, 10].map(n => n * size).find(n => n >= top) || 1;
}

// series: {name, kind (its class), values}; times: ms of each value.
export function plot(title, unit, times, series, bars) {
  const room = document.documentElement.clientWidth - 70, width = Math.max(260, bars ? room : Math.min(600, room)), height = 150, left = 46, bottom = 18, top = 8;
  const most = round(Math.max(0, ...series.flatMap(line => line.values)));
  const x = i => left + (width - left - 6) * (times.length < 2 ? 0 : i / (times.length - (bars ? 0 : 1)));
  const y = v => top + (height - top - bottom) * (1 - v / most);
  const summary = `${title}, ${clock(times[0])} to ${clock(times.at(-1))}: ` + series.map(line =>
    `${line.name} ${number(line.values.at(-1))} ${unit} last, ${number(Math.max(...line.values))} at most`).join('; ') + '.';
  const drawing = s('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': summary });
  for (const share of [0, 0.5, 1]) {
    drawing.append(s('line', { x1: left, x2: width - 6, y1: y(most * share), y2: y(most * share), class: 'grid' }),
      s('text', { x: left - 6, y: y(most * share) + 4, 'text-anchor': 'end' }, number(most * share)));
  }
  for (const i of [0, Math.floor((times.length - 1) / 2), times.length - 1]) {
    drawing.append(s('text', { x: x(i), y: height - 4, 'text-anchor': i === 0 ? 'start' : i === times.length - 1 ? 'end' : 'middle' }, clock(times[i])));
  }
  for (const line of series) {
    if (bars) {
      const wide = (width - left - 6) / times.length;
      line.values.forEach((v, i) => v && drawing.append(
        s('rect', { x: x(i) + 1, y: y(v), width: Math.max(1, wide - 2), height: y(0) - y(v), class: 'bar ' + line.kind })));
    } else {
      drawing.append(s('polyline', { points: line.values.map((v, i) => `${x(i).toFixed(1)},${y(v).toFixed(1)}`).join(' '), class: 'line ' + line.kind }));
    }
  }
  return h('figure', { class: 'plot' }, h('figcaption', {}, h('strong', {}, title), ' ', h('span', { class: 'quiet' }, unit),
    h('span', { class: 'legend' }, series.length > 1 && series.map(line => h('span', { class: 'key ' + line.kind }, line.name)))), drawing);
}

/**
 * A training run as one HTML page that needs nothing else: curves by uPlot, whose script and style are copied into the
 * page, figures and confusion matrix as tables, pictures as data URIs. No address outside the file is ever asked.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { reportScript, reportStyle } from './reportPage.js';
import { greyPngUri } from './png.js';
import type { ConfusionMatrix } from './metrics.js';

/** One line of a chart: `values[i]` belongs to `x[i]`; null leaves a gap. */
export interface ReportCurve {
  readonly label: string;
  readonly values: readonly (number | null)[];
}

export interface ReportChart {
  readonly title: string;
  readonly x: readonly number[];
  readonly xLabel: string;
  readonly curves: readonly ReportCurve[];
  /** an x to mark with a line, for instance the best epoch */
  readonly mark?: { readonly x: number; readonly label: string };
}

/** A sample the model got wrong. */
export interface ReportMistake {
  /** [height, width] grey values in 0..1 */
  readonly pixels: ArrayLike<number>;
  readonly width: number;
  readonly height: number;
  readonly truth: string;
  readonly predicted: string;
  /** probability given to the wrong answer, 0..1 */
  readonly confidence: number;
}

export interface ReportContent {
  readonly title: string;
  readonly subtitle?: string;
  /** the few figures that matter most, shown large */
  readonly figures: readonly { readonly label: string; readonly value: string }[];
  readonly charts: readonly ReportChart[];
  readonly confusion?: ConfusionMatrix;
  /** names of the classes in index order; indices when absent */
  readonly classNames?: readonly string[];
  readonly mistakes?: readonly ReportMistake[];
  /** what the run was started with */
  readonly settings: Readonly<Record<string, string | number | boolean>>;
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** JSON that may stand inside a script element: no "</script" and no "<!--" can appear in it. */
function scriptJson(value: unknown): string {
  return JSON.stringify(value).replace(/</g, '\\u003c');
}

const percent = (share: number): string => `${(share * 100).toFixed(1)}\u202f%`;

function classTable(confusion: ConfusionMatrix, names: readonly string[]): string {
  const rows = confusion
    .perClass()
    .map(
      (c) =>
        `<tr><th scope="row">${escape(names[c.label]!)}</th><td>${percent(c.precision)}</td>` +
        `<td>${percent(c.recall)}</td><td>${percent(c.f1)}</td><td>${c.support}</td></tr>`,
    );
  const macro = confusion.macro();
  return `<section><h2>Figures per class</h2><table class="figures">
<thead><tr><th scope="col">class</th><th scope="col">precision</th><th scope="col">recall</th><th scope="col">F1</th><th scope="col">samples</th></tr></thead>
<tbody>${rows.join('\n')}</tbody>
<tfoot><tr><th scope="row">mean</th><td>${percent(macro.precision)}</td><td>${percent(macro.recall)}</td><td>${percent(macro.f1)}</td><td>${confusion.total}</td></tr></tfoot>
</table></section>`;
}

/** Right answers shade green by their share of the row, mistakes red on a steeper scale so that single ones show. */
function confusionTable(confusion: ConfusionMatrix, names: readonly string[]): string {
  const head = names.map((name) => `<th scope="col">${escape(name)}</th>`).join('');
  const rows = confusion.rows().map((counts, truth) => {
    const support = counts.reduce((sum, n) => sum + n, 0);
    const cells = counts.map((count, predicted) => {
      const share = support === 0 ? 0 : count / support;
      const strength = truth === predicted ? 0.15 + 0.6 * share : Math.min(0.85, 0.25 + 6 * share);
      const colour = truth === predicted ? '22, 130, 93' : '214, 69, 65';
      const style = count === 0 ? '' : ` style="background: rgba(${colour}, ${strength.toFixed(3)})"`;
      const title = `${count} of ${support} ${escape(names[truth]!)} called ${escape(names[predicted]!)}`;
      return `<td${style} title="${title}">${count === 0 ? '<span class="none">·</span>' : count}</td>`;
    });
    return `<tr><th scope="row">${escape(names[truth]!)}</th>${cells.join('')}</tr>`;
  });
  return `<section><h2>Confusion matrix</h2><p class="hint">rows: the true class; columns: what the model said</p>
<table class="confusion"><thead><tr><th></th>${head}</tr></thead><tbody>${rows.join('\n')}</tbody></table></section>`;
}

function mistakeGallery(mistakes: readonly ReportMistake[]): string {
  const pictures = mistakes.map((m) => {
    // ink is 1 in the data; on paper it reads better dark on light
    const inverted = Array.from(m.pixels, (v) => 1 - v);
    const caption = `${escape(m.truth)} taken for ${escape(m.predicted)}`;
    return (
      `<figure><img src="${greyPngUri(inverted, m.width, m.height)}" width="84" height="84" alt="${caption}">` +
      `<figcaption><b>${escape(m.truth)}</b> → <b class="wrong">${escape(m.predicted)}</b><br><span>${percent(m.confidence)} sure</span></figcaption></figure>`
    );
  });
  return `<section><h2>Most wrong</h2><p class="hint">test samples with the most certain wrong answers: true class → answer</p>
<div class="gallery">${pictures.join('\n')}</div></section>`;
}

function settingsTable(settings: ReportContent['settings']): string {
  const rows = Object.entries(settings).map(
    ([name, value]) => `<tr><th scope="row">${escape(name)}</th><td>${escape(String(value))}</td></tr>`,
  );
  return `<section><h2>Settings</h2><table class="settings"><tbody>${rows.join('\n')}</tbody></table></section>`;
}

/** The page as text. The same content gives the same bytes. */
export function renderReport(content: ReportContent): string {
  const require = createRequire(import.meta.url);
  const asset = (file: string): string => readFileSync(require.resolve(`uplot/dist/${file}`), 'utf8');
  const names = content.classNames ?? Array.from({ length: content.confusion?.classes ?? 0 }, (_, i) => String(i));
  const figures = content.figures.map(
    (f) =>
      `<div class="figure"><div class="value">${escape(f.value)}</div><div class="label">${escape(f.label)}</div></div>`,
  );
  const charts = content.charts.map(
    (chart, i) => `<section><h2>${escape(chart.title)}</h2><div class="chart" id="chart-${i}"></div></section>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(content.title)}</title>
<link rel="icon" href="data:,">
<style>${asset('uPlot.min.css')}</style>
<style>${reportStyle}</style>
</head>
<body>
<main>
<header><h1>${escape(content.title)}</h1>${content.subtitle ? `<p>${escape(content.subtitle)}</p>` : ''}</header>
<div class="headline">${figures.join('\n')}</div>
<div class="pair">${charts.join('\n')}</div>
${content.confusion ? `<div class="pair">${confusionTable(content.confusion, names)}${classTable(content.confusion, names)}</div>` : ''}
${content.mistakes && content.mistakes.length > 0 ? mistakeGallery(content.mistakes) : ''}
${settingsTable(content.settings)}
</main>
<script>${asset('uPlot.iife.min.js').replace(/<\/script/gi, '<\\/script')}</script>
<script>const charts = ${scriptJson(content.charts)};
${reportScript}</script>
</body>
</html>
`;
}

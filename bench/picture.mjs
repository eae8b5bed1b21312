/**
 * `npm run bench:picture -- FILE.json OUT.svg`: the times of `npm run bench --json FILE.json` as a picture, each peer's over warploom's.
 * JavaScript, because vega's types are there only once bench/package.json is installed.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { caseNames } from './cases.js';
import { here, installPeers, lastLine } from './measure.js';
import { peerName } from './table.js';

/** A bar for each case and peer that have a time: `times` is the peer's median over ours. */
export function bars(rows) {
  const timed = rows.filter((row) => row.error === undefined && row.case !== 'peak');
  const own = (row) =>
    timed.find((each) => peerName(each) === 'warploom' && each.case === row.case && each.threads === row.threads);
  return timed
    .filter((row) => peerName(row) !== 'warploom' && own(row) !== undefined)
    .map((row) => ({
      case: row.case,
      peer: row.peer,
      threads: row.threads === 1 ? '1 thread' : `${row.threads} threads`,
      times: row.median_ms / own(row).median_ms,
      // where the number stands: behind the bar, which may end left of 1
      label: Math.max(1, row.median_ms / own(row).median_ms),
    }));
}

/** Bars that begin at 1 on a logarithmic axis: to the right the peer takes longer than warploom, to the left it is faster. */
export function chart(values) {
  const times = { field: 'times', type: 'quantitative' };
  const rows = {
    y: { field: 'case', type: 'nominal', sort: [...caseNames], title: null },
    yOffset: { field: 'peer' },
  };
  return {
    background: 'white',
    config: { font: 'system-ui, sans-serif', view: { stroke: null }, axis: { labelFontSize: 11 } },
    title: {
      text: 'Time beside warploom (= 1) on the same CPU',
      subtitle: 'right of 1: the peer takes that many times as long',
    },
    data: { values },
    facet: { column: { field: 'threads', type: 'nominal', title: null, header: { labelFontWeight: 'bold' } } },
    spec: {
      width: 360,
      height: { step: 11 },
      layer: [
        {
          mark: { type: 'bar' },
          encoding: {
            ...rows,
            x: {
              ...times,
              scale: { type: 'log', domainMin: 0.5, nice: false },
              axis: {
                title: 'time / warploom',
                values: [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500],
                format: '~g',
                grid: true,
              },
            },
            x2: { datum: 1 },
            color: { field: 'peer', type: 'nominal', title: null, legend: { orient: 'bottom' } },
          },
        },
        {
          mark: { type: 'text', align: 'left', dx: 3, fontSize: 9 },
          encoding: { ...rows, x: { ...times, field: 'label' }, text: { ...times, format: '.2~r' } },
        },
        { mark: { type: 'rule', color: 'black' }, encoding: { x: { datum: 1 } } },
      ],
    },
  };
}

/** The picture as SVG text. */
export async function picture(rows) {
  const vega = await import('vega');
  const { compile } = await import('vega-lite');
  const view = new vega.View(vega.parse(compile(chart(bars(rows))).spec), { renderer: 'none' });
  return view.toSVG();
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [from, to] = process.argv.slice(2);
  const installed = installPeers();
  if (from === undefined || to === undefined) {
    console.error('usage: npm run bench:picture -- FILE.json OUT.svg');
    process.exitCode = 2;
  } else if (installed.status !== 0) {
    console.error(`vega cannot be installed in ${join(here, 'node_modules')}: ${lastLine(installed.stderr)}`);
    process.exitCode = 1;
  } else {
    writeFileSync(to, `${await picture(JSON.parse(readFileSync(from, 'utf8')))}\n`);
  }
}

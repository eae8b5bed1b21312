/** The report's own style and script, copied into every page. */

export const reportStyle = `
:root { color-scheme: light; --ink: #1d2330; --soft: #667085; --line: #e4e7ec; --good: #16825d; --bad: #d64541; }
* { box-sizing: border-box; }
body { margin: 0; background: #f5f6f8; color: var(--ink); font: 15px/1.5 system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 24px 48px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0; }
header p { margin: 6px 0 0; color: var(--soft); }
h2 { font-size: 16px; margin: 0 0 10px; }
section { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 18px 20px; margin-top: 20px; min-width: 0; }
.headline { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 20px; margin-top: 24px; }
.figure { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 14px 20px; }
.figure .value { font-size: 26px; font-weight: 600; font-variant-numeric: tabular-nums; }
.figure .label { color: var(--soft); font-size: 13px; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 430px), 1fr)); gap: 0 20px; }
.hint { margin: -8px 0 10px; color: var(--soft); font-size: 13px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { font-weight: 600; text-align: right; }
.figures { width: 100%; }
.figures th, .figures td { padding: 4px 8px; text-align: right; border-bottom: 1px solid var(--line); }
.figures thead th { color: var(--soft); font-size: 13px; font-weight: 500; }
.figures tfoot th, .figures tfoot td { border-bottom: 0; font-weight: 600; }
.confusion { width: 100%; table-layout: fixed; border-spacing: 2px; border-collapse: separate; }
.confusion td { text-align: center; height: 34px; border-radius: 4px; background: #f5f6f8; font-size: 13px; }
.confusion th { text-align: center; color: var(--soft); font-size: 13px; }
.confusion .none { color: #c3c8d1; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(104px, 1fr)); gap: 16px 12px; }
figure { margin: 0; text-align: center; }
figure img { image-rendering: pixelated; border: 1px solid var(--line); border-radius: 6px; background: #fff; }
figcaption { font-size: 13px; line-height: 1.4; margin-top: 2px; }
figcaption span { color: var(--soft); }
.wrong { color: var(--bad); }
.settings th { font-weight: 500; color: var(--soft); text-align: left; padding: 3px 24px 3px 0; vertical-align: top; }
.settings td { padding: 3px 0; overflow-wrap: anywhere; }
.chart .u-legend { font-size: 13px; text-align: left; margin-left: 44px; }
@media print { body { background: #fff; } section { break-inside: avoid; } }
`;

export const reportScript = `
const colours = ['#2563eb', '#d97706', '#16825d', '#9333ea'];
const figure = (v) => (v === null || v === undefined ? '–' : v.toPrecision(4));
charts.forEach((chart, index) => {
  const box = document.getElementById('chart-' + index);
  const mark = (u) => {
    if (!chart.mark) return;
    const x = u.valToPos(chart.mark.x, 'x', true);
    const { ctx, bbox } = u;
    ctx.save();
    ctx.strokeStyle = '#98a2b3';
    ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.fillStyle = '#667085';
    ctx.font = 12 * devicePixelRatio + 'px sans-serif';
    const right = x > bbox.left + bbox.width / 2;
    ctx.textAlign = right ? 'right' : 'left';
    ctx.textBaseline = 'top';
    ctx.fillText(chart.mark.label, x + (right ? -6 : 6) * devicePixelRatio, bbox.top + 4 * devicePixelRatio);
    ctx.restore();
  };
  const plot = new uPlot(
    {
      width: box.clientWidth,
      height: 260,
      scales: { x: { time: false, range: (u, low, high) => (low === high ? [low - 0.5, high + 0.5] : [low, high]) } },
      axes: [
        { label: chart.xLabel, labelSize: 20, labelFont: '13px sans-serif', stroke: '#667085', grid: { stroke: '#eef0f3' }, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] },
        { stroke: '#667085', grid: { stroke: '#eef0f3' }, size: 56 },
      ],
      series: [
        { label: chart.xLabel },
        ...chart.curves.map((curve, i) => ({
          label: curve.label,
          stroke: colours[i % colours.length],
          width: 2,
          points: { show: chart.x.length <= 60, size: 6, fill: colours[i % colours.length] },
          value: (u, v) => figure(v),
        })),
      ],
      hooks: { draw: [mark] },
    },
    [chart.x, ...chart.curves.map((curve) => curve.values)],
    box,
  );
  new ResizeObserver(() => plot.setSize({ width: box.clientWidth, height: 260 })).observe(box);
});
`;

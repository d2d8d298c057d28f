"""The style of the report on wide pages, on phones, in the dark and on paper.

The colours of marks follow Okabe and Ito (2008), so colour-blind readers can
distinguish them; each colour also has a shape of its own.
"""

# Colours of pages, and of drawings that are files of their own.
_LIGHT = """
  --text: #1c1c1e; --soft: #5c5c61; --line: #d8d8dc; --page: #ffffff;
  --panel: #f4f5f7; --link: #005a9c; --baseline: #1c1c1e; --alone: #c24e00;
  --real: #0072b2; --classical: #00805c;
"""
_DARK = """
  --text: #e8e8ea; --soft: #a6a6ad; --line: #3c3c42; --page: #17181b;
  --panel: #212227; --link: #7cc0ff; --baseline: #e8e8ea; --alone: #f09a4a;
  --real: #63b8ee; --classical: #3ccb9b;
"""
COLORS = f"""
:root {{{_LIGHT}}}
@media (prefers-color-scheme: dark) {{ :root {{{_DARK}}} }}
@media print {{ :root {{{_LIGHT}}} }}
"""
DRAWING = """
svg text { font-family: system-ui, "Segoe UI", Roboto, Helvetica, Arial,
  sans-serif; fill: var(--text); font-variant-numeric: tabular-nums;
  paint-order: stroke; stroke: var(--page); stroke-width: 4px; }
svg .soft { fill: var(--soft); }
svg .strong { font-weight: 600; }
svg .tick { stroke: var(--line); stroke-width: 1; }
svg .reference { stroke: var(--soft); stroke-width: 1.2; }
svg .dash { stroke-dasharray: 6 4; } svg .dot { stroke-dasharray: 1.5 3.5; }
svg .baseline { --mark: var(--baseline); } svg .alone { --mark: var(--alone); }
svg .real { --mark: var(--real); } svg .classical { --mark: var(--classical); }
svg .mark { fill: var(--mark); stroke: var(--page); stroke-width: 1; }
svg .bar { stroke: var(--mark); stroke-width: 2; fill: none; }
"""
STYLE = f"""{COLORS}
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.55 system-ui, "Segoe UI", Roboto, Helvetica, Arial,
  sans-serif; color: var(--text); background: var(--page); max-width: 66rem;
  margin: 0 auto; padding: 1.5rem 1rem 4rem; }}
h1 {{ font-size: 1.25rem; font-weight: 600; margin: 0 0 1rem;
  color: var(--soft); }}
h2 {{ font-size: 1.3rem; margin: 2.5rem 0 0.6rem; line-height: 1.3; }}
p {{ max-width: 44rem; margin: 0.6rem 0; }}
a {{ color: var(--link); }}
code {{ font: 0.92em ui-monospace, "DejaVu Sans Mono", Menlo, Consolas,
  monospace; white-space: nowrap; }}
.answer {{ margin: 0 0 1rem; padding: 1rem 1.25rem; border-radius: 8px;
  background: var(--panel); border-left: 5px solid var(--real); }}
.answer p {{ margin: 0.35rem 0 0; }}
.answer .headline {{ font-size: clamp(1.7rem, 5vw, 2.4rem); font-weight: 700;
  line-height: 1.15; margin: 0; }}
.files, figcaption {{ font-size: 0.9rem; color: var(--soft); }}
figure {{ margin: 1rem 0; }}
figcaption {{ max-width: 44rem; }}
figcaption strong {{ color: var(--text); }}
.plot svg {{ display: block; width: 100%; height: auto; }}
.plot .wide {{ max-width: 900px; }}
.plot .narrow {{ display: none; max-width: 460px; }}
.beside {{ display: flex; flex-wrap: wrap; gap: 0.5rem 3rem; }}
.samples figcaption {{ margin-bottom: 0.5rem; }}
.beside .samples {{ flex: 0 1 auto; min-width: min(100%, 20rem);
  max-width: 100%; }}
.named {{ display: grid; gap: 0 0.6rem;
  grid-template-columns: fit-content(9rem) minmax(0, max-content); }}
.named ol {{ list-style: none; margin: 0; padding: 0; min-width: 0;
  display: grid; grid-auto-rows: minmax(0, 1fr); font-size: 0.8rem;
  line-height: 1.2; text-align: right; }}
.named li {{ align-self: center; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; }}
.named img {{ display: block; max-width: 100%; height: auto;
  border-radius: 3px; }}
details {{ border-top: 1px solid var(--line); padding: 0.7rem 0; }}
summary {{ font-weight: 600; cursor: pointer; padding: 0.15rem 0; }}
.table {{ overflow-x: auto; margin: 0.6rem 0; }}
table {{ border-collapse: collapse; font-size: 0.875rem; line-height: 1.4;
  font-variant-numeric: tabular-nums; }}
th, td {{ padding: 0.35rem 0.75rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }}
th {{ vertical-align: bottom; border-bottom: 2px solid var(--soft); }}
td {{ max-width: 30rem; }}
.number {{ text-align: right; }}
td.number {{ white-space: nowrap; }}
.name {{ position: sticky; left: 0; background: var(--page);
  padding-left: 0; }}
.whole {{ white-space: nowrap; }}
{DRAWING}
@media (max-width: 760px) {{
  .plot .wide {{ display: none; }} .plot .narrow {{ display: block; }}
  .answer {{ padding: 0.9rem 1rem; }}
}}
@media print {{
  body {{ max-width: none; padding: 0; font-size: 11pt; }}
  .plot .wide {{ display: block; }} .plot .narrow {{ display: none; }}
  .answer {{ background: none; border: 1px solid var(--line); }}
  .table {{ overflow: visible; }} .name {{ position: static; }}
  details::details-content {{ content-visibility: visible; height: auto; }}
  h2, summary {{ break-after: avoid; }}
  figure, tr {{ break-inside: avoid; }}
}}
"""

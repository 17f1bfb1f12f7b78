extension Page {
  /// The style sheet: colours by name first, then the parts from top to bottom.
  static let style = """
    :root { color-scheme: light dark; --page: #f6f5f1; --card: #fff; --ink: #20242c; --soft: #5d6573;
      --line: #e3e1da; --track: #eceae4; --fill: #2f6f8f;
      --t0: #d9e8ef; --t1: #b4d3e0; --t2: #7fb2c8; --t3: #3f83a3; --t4: #235a75;
      --dark-ink: #10222c; --light-ink: #fff; --in: rgba(255, 255, 255, .28); }
    @media (prefers-color-scheme: dark) {
      :root { --page: #14171c; --card: #1d2128; --ink: #e8eaee; --soft: #9aa3b2; --line: #2c323c;
        --track: #282e37; --fill: #5fa8c9;
        --t0: #23323c; --t1: #2a4454; --t2: #33596f; --t3: #3f7491; --t4: #4b8db0;
        --dark-ink: #d8e6ee; --light-ink: #fff; --in: rgba(0, 0, 0, .2); } }
    * { box-sizing: border-box; }
    body { margin: 0; background: var(--page); color: var(--ink);
      font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
    main { max-width: 960px; margin: 0 auto; padding: 24px 16px 48px; }
    h1 { font-size: 28px; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
    h2 { font-size: 19px; margin: 0; }
    header p, section > p { color: var(--soft); margin: 4px 0 16px; }
    code { font-size: 14px; }
    section { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
      padding: 20px; margin-top: 16px; }
    .cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(136px, 1fr)); gap: 12px; }
    .cards div { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
      padding: 14px 16px; }
    .cards strong { display: block; font-size: 26px; line-height: 1.2; font-weight: 650; }
    .cards span { display: block; color: var(--soft); font-size: 14px; line-height: 1.35; }
    .bar { display: grid; grid-template-columns: 84px 1fr 190px; gap: 12px; align-items: center;
      padding: 3px 0; font-size: 15px; font-variant-numeric: tabular-nums; }
    .bar svg { width: 100%; height: 16px; display: block; }
    .track { fill: var(--track); } .fill { fill: var(--fill); }
    .note { color: var(--soft); font-size: 14px; }
    .map { width: 100%; height: auto; display: block; margin: 0 0 20px; font-family: inherit; }
    .narrow { display: none; }
    .bold { font-size: 13px; font-weight: 650; } .plain { font-size: 11px; }
    .t0 .out { fill: var(--t0); } .t1 .out { fill: var(--t1); } .t2 .out { fill: var(--t2); }
    .t3 .out { fill: var(--t3); } .t4 .out { fill: var(--t4); }
    .in { fill: var(--in); }
    .t0 text, .t1 text, .t2 text { fill: var(--dark-ink); }
    .t3 text, .t4 text { fill: var(--light-ink); }
    .buckets { display: grid; grid-template-columns: repeat(auto-fill, minmax(280px, 1fr));
      gap: 4px 24px; }
    article { border-top: 1px solid var(--line); padding: 12px 0; min-width: 0; }
    h3 { font-size: 15px; font-weight: 400; margin: 0 0 4px; display: flex; flex-wrap: wrap; gap: 4px; }
    h3 b { font-weight: 600; background: var(--track); border-radius: 5px; padding: 0 7px; }
    h3 span { color: var(--soft); font-size: 14px; margin-left: auto; }
    ul { margin: 0; padding: 0; list-style: none; font-size: 14px; }
    li { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
    .more { color: var(--soft); }
    @media (max-width: 600px) {
      main { padding: 16px 12px 32px; } section { padding: 16px 14px; }
      .cards { grid-template-columns: 1fr 1fr; }
      .bar { grid-template-columns: 76px 1fr; gap: 2px 10px; padding: 5px 0; }
      .bar .note { grid-column: 2; }
      .wide { display: none; } .narrow { display: block; } }
    """
}

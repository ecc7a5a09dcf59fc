'use strict';
// The console's page. Everything shown is set as text, never as HTML: what
// clients and plugins send is anybody's text.
(() => {
  const $ = id => document.getElementById(id);

  // el makes an element with a class, then texts or children.
  const el = (name, cls, ...children) => {
    const e = document.createElement(name);
    if (cls) e.className = cls;
    e.append(...children.filter(c => c !== null && c !== undefined && c !== ''));
    return e;
  };

  const duration = us => us < 1000 ? `${Math.round(us)} µs` : us < 1e6 ? `${(us / 1000).toFixed(us < 1e4 ? 2 : 1)} ms` : `${(us / 1e6).toFixed(2)} s`;
  const plural = (n, what) => `${n} ${what}${n === 1 ? '' : 's'}`;
  const number = n => n.toLocaleString('en');
  const bytes = n => n < 1000 ? `${n} B` : n < 1e6 ? `${(n / 1000).toFixed(1)} kB` : `${(n / 1e6).toFixed(1)} MB`;
  const clock = ms => ms ? new Date(ms).toTimeString().slice(0, 8) + '.' + String(ms % 1000).padStart(3, '0') : '';
  const statusClass = s => 'status s' + (s ? Math.floor(s / 100) : 0);

  // A List shows thousands of rows of equal height by drawing only those in sight.
  class List {
    constructor(box, height, make, fill) {
      Object.assign(this, { box, height, make, fill, items: [], rows: [], due: false });
      this.space = el('div', 'space');
      box.append(this.space);
      box.addEventListener('scroll', () => this.draw());
      new ResizeObserver(() => this.draw()).observe(box);
    }
    // set takes the items, newest first; a reader who has scrolled down keeps the place.
    set(items, added = 0) {
      this.items = items;
      this.space.style.height = items.length * this.height + 'px';
      if (added && this.box.scrollTop > this.height) this.box.scrollTop += added * this.height;
      this.draw();
    }
    draw() {
      if (this.due) return;
      this.due = true;
      requestAnimationFrame(() => { this.due = false; this.drawNow(); });
    }
    drawNow() {
      const first = Math.max(0, Math.floor(this.box.scrollTop / this.height) - 4);
      const count = Math.min(this.items.length - first, Math.ceil(this.box.clientHeight / this.height) + 8);
      while (this.rows.length < count) {
        const row = this.make();
        row.classList.add('row');
        row.style.height = this.height + 'px';
        this.rows.push(row);
        this.space.append(row);
      }
      this.rows.forEach((row, i) => {
        row.hidden = i >= count;
        if (i >= count) return;
        row.style.top = (first + i) * this.height + 'px';
        row.item = this.items[first + i];
        this.fill(row, row.item);
      });
      this.onwidth?.(this.box.offsetWidth - this.box.clientWidth); // of the scroll bar
    }
    reveal(index) {
      const top = index * this.height;
      if (top < this.box.scrollTop) this.box.scrollTop = top;
      else if (top + this.height > this.box.scrollTop + this.box.clientHeight) this.box.scrollTop = top + this.height - this.box.clientHeight;
    }
  }

  const state = {
    requests: new Map(), newest: 0, waiting: [], events: [], lines: [], plans: [], tab: 'events', run: 0, kept: { requests: 2000, lines: 2000, events: 1000 },
    shown: null, paused: false, cleared: 0, filter: '', stats: null, rate: 0, proxies: [],
  };

  // --- the requests ---

  const requestList = new List($('request-list'), 30, () => {
    const row = el('div', '', el('span', 'status'), el('span', 'method'), el('span', 'path', '', el('i')), el('span', 'mini'), el('span', 'time'));
    row.setAttribute('role', 'option');
    row.target = document.createTextNode('');
    row.querySelector('.path').prepend(row.target);
    return row;
  }, (row, r) => {
    const [status, method, path, mini, time] = row.children;
    status.className = statusClass(r.status);
    status.textContent = r.status || '···';
    method.textContent = r.method;
    row.target.data = r.target;
    path.lastChild.textContent = [r.route, r.consumer].filter(Boolean).join(' · ');
    path.title = r.target;
    time.textContent = r.us ? duration(r.us) : '';
    row.classList.toggle('failed', r.failed);
    row.setAttribute('aria-selected', state.shown?.kind === 'requests' && state.shown.n === r.n);
    drawMini(mini, r);
  });

  requestList.onwidth = bar => { document.querySelector('.columns').style.paddingRight = 12 + bar + 'px'; };

  const lengthOf = r => Math.max(r.us, ...r.bars.map(b => b.e || b.s), 1);

  // drawMini shows where the client's time went; what comes after its answer is
  // in the request's own picture.
  function drawMini(box, r) {
    const total = r.us || lengthOf(r), bars = r.bars.filter(b => b.k !== 'log');
    while (box.children.length < bars.length) box.append(el('span'));
    [...box.children].forEach((b, i) => {
      const bar = bars[i];
      b.hidden = !bar;
      if (!bar) return;
      b.dataset.k = bar.k;
      const end = bar.e || total;
      b.style.left = Math.min(bar.s / total * 100, 98) + '%';
      b.style.width = Math.max(0, Math.min((end - bar.s) / total, 1) * 100) + '%';
      b.classList.toggle('unended', !bar.e);
    });
  }

  function matches(r) {
    if (!state.filter) return true;
    const text = `${r.method} ${r.target} ${r.status} ${r.route || ''} ${r.consumer || ''} ${r.id} ${r.failed ? 'failed' : ''}`.toLowerCase();
    return state.filter.split(/\s+/).every(word => text.includes(word));
  }

  function takeRequests(list) {
    let added = 0;
    for (const r of list) {
      if (r.n <= state.cleared) continue;
      if (!state.requests.has(r.n) && matches(r)) added++;
      state.requests.set(r.n, r);
      state.newest = Math.max(state.newest, r.n);
    }
    for (const n of state.requests.keys()) {
      if (n > state.newest - state.kept.requests) break;
      state.requests.delete(n);
    }
    showRequests(added);
  }

  function showRequests(added) {
    const list = [...state.requests.values()].filter(matches).sort((a, b) => b.n - a.n);
    requestList.set(list, added);
    const empty = $('request-empty');
    empty.hidden = list.length > 0;
    if (state.requests.size) empty.replaceChildren('No request fits the filter.');
    else empty.replaceChildren('No requests yet. Try ', el('code', '', `curl -i ${state.proxies[0] || 'http://127.0.0.1:8000'}/hello`));
  }

  // --- one request ---

  async function show(kind, n) {
    state.shown = { kind, n };
    requestList.draw();
    eventList.draw();
    planList.draw();
    history.replaceState(null, '', `#${kind}/${n}`);
    await load();
  }

  let loading = false, again = false;
  async function load() { // one at a time, the last wish is granted
    if (loading) { again = true; return; }
    loading = true;
    do {
      again = false;
      const want = state.shown;
      if (!want) break;
      try {
        const answer = await fetch(`${want.kind}/${want.n}${want.request ? `?request=${want.request}` : ''}`);
        const ok = answer.ok, body = ok ? await answer.json() : await answer.text();
        if (state.shown !== want) continue;
        if (!ok) $('detail').replaceChildren(el('p', 'empty', body));
        else if (want.kind === 'requests') drawRequest(body);
        else if (want.kind === 'plans') drawPlan(body);
        else drawEvent(want.n, body);
      } catch { /* the feed tells that kongdev is gone */ }
    } while (again);
    loading = false;
  }

  function facts(pairs) {
    return el('dl', '', ...pairs.filter(p => p[1] !== undefined && p[1] !== '' && p[1] !== null).map(([k, v]) => el('div', '', el('dt', '', k), el('dd', '', String(v)))));
  }

  // axisOf divides a time into at most five steps of a round length.
  function axisOf(total) {
    let step = 1;
    for (let i = 0; total / step > 5; i++) step *= [2, 2.5, 2][i % 3];
    return { step, steps: Math.floor(total / step), total };
  }

  const sourceName = { service: 'the service', exit: 'a plugin or Kong', error: 'Kong, an error' };

  function drawRequest(d) {
    const total = Math.max(lengthOf(d), ...d.events.flatMap(e => e.calls.map(c => c.e)));
    const axis = axisOf(total * 1.01);
    const at = us => us / axis.total * 100 + '%';
    const place = (b, s, e) => { b.style.left = at(s); b.style.width = at(Math.max((e || total) - s, 0)); return b; };
    const track = (...children) => {
      const t = el('div', 'track', ...children);
      t.style.setProperty('--step', axis.step / axis.total * 100 + '%');
      if (d.us) { const m = el('i', 'answered'); m.style.left = at(d.us); m.title = 'the client has its answer'; t.append(m); }
      return t;
    };
    const row = (cls, kind, label, bars, time, title) => {
      const r = el('div', 'fall ' + cls, label, track(...bars), el('span', 'time', time));
      if (kind) r.dataset.k = kind;
      if (title) r.title = title;
      return r;
    };
    const sum = f => d.events.reduce((n, e) => n + f(e), 0);
    const scale = el('div', 'fall axis', el('span', '', `${plural(d.events.length, 'phase')}, ${plural(sum(e => e.calls.length), 'PDK call')}, ${plural(sum(e => e.flights), 'flight')}`), el('div', 'track'), el('span'));
    for (let i = 0; i <= axis.steps && axis.step * i < axis.total * 0.97; i++) {
      const tick = el('span', '', duration(axis.step * i));
      tick.style.left = at(axis.step * i);
      scale.children[1].append(tick);
    }
    const blocks = [
      ...d.events.map(e => ({ s: e.s, rows: eventRows(e) })),
      ...d.upstream.map(u => ({ s: u.s, rows: [row('event', 'upstream',
        el('div', 'label', el('span', 'dot'), el('span', 'text', 'upstream'), el('small', '', `${u.address} ${u.e ? (u.failed ? 'failed, Kong answers ' : '') + u.status : 'waiting'}`)),
        [place(el('i', 'b whole' + (u.e ? '' : ' unended')), u.s, u.e)], u.e ? duration(u.e - u.s) : '…')] })),
    ].sort((a, b) => a.s - b.s);

    function eventRows(e) {
      const tail = [e.flights || !e.e ? `${plural(e.calls.length, 'call')}, ${plural(e.flights, 'flight')}` : 'inside kongdev'];
      if (e.exit) tail.push(`answered ${e.exit}`);
      const label = el('div', 'label', el('span', 'dot'), el('span', 'text', e.phase), el('small', '', `${e.plugin} · ${tail.join(' · ')}`));
      const rows = [row('event', e.phase, label,
        [place(el('i', 'b' + (e.e ? '' : ' unended') + (e.flights || !e.e ? '' : ' whole')), e.s, e.e), ...e.calls.map(c => place(el('i', 'b call'), c.s, c.e))],
        e.e ? duration(e.e - e.s) : '…',
        `${e.phase} of ${e.plugin}, priority ${e.priority}, connection ${e.conn}: from ${duration(e.s)} to ${e.e ? duration(e.e) : '…'}` +
        (e.sent - e.s > 200 ? `; ${duration(e.sent - e.s)} until it was sent (instance or connection opened)` : ''))];
      let before = e.sent, flight = 0;
      for (const c of e.calls) {
        const text = el('span', 'text', c.method.replace(/^kong\./, ''), el('em', '', '('), el('span', 'arg', c.args), el('em', '', ')'));
        if (c.error && !c.error.startsWith('exit ')) text.append(el('span', 'err', ' ' + c.error));
        else if (c.error) text.append(el('em', '', ' → ' + c.error));
        else if (c.reply) text.append(el('em', '', ' → '), c.reply);
        const number = el('span', 'flight' + (c.flight === flight ? ' same' : ''), String(c.flight));
        rows.push(row('call', e.phase, el('div', 'label', number, text),
          [place(el('i', 'wait'), before, c.s), place(el('i', 'b'), c.s, c.e)], duration(c.e - c.s),
          `${c.method}(${c.args})${c.reply ? ' → ' + c.reply : ''}${c.error ? ' ' + c.error : ''}\nflight ${c.flight}, arrived at ${duration(c.s)}, ${duration(c.s - before)} after the one before; Kong's side took ${duration(c.e - c.s)}`));
        before = c.e; flight = c.flight;
      }
      if (e.error && e.error !== e.calls.at(-1)?.error) rows.push(row('call', e.phase, el('div', 'label', el('span', 'flight same', ''), el('span', 'text', el('span', 'err', e.error))), [], ''));
      return rows;
    }

    const scrolled = state.shown.drawn ? $('fall')?.scrollTop : 0;
    state.shown.drawn = true;
    const head = el('div', 'head',
      el('div', 'title', el('span', statusClass(d.status), d.status || '···'), el('span', 'method', d.method), el('span', 'path', d.target), el('span', 'time', d.us ? duration(d.us) : 'running')),
      facts([['route', d.route], ['service', d.service], ['consumer', d.consumer], ['answered by', d.status ? sourceName[d.source] || d.source : ''], ['client', d.client], ['host', d.host],
        ['protocol', d.proto], ['sent', d.status ? bytes(d.bytes) : ''], ['worker', d.worker], ['at', clock(d.t)], ['id', d.id]]));
    if (d.failure) head.append(el('div', 'failure', d.failure));
    const fall = el('div', '', scale, ...blocks.flatMap(b => b.rows));
    fall.id = 'fall';
    fall.tabIndex = 0;
    $('detail').replaceChildren(head, ...(d.workflow ? [drawWorkflow(d.workflow)] : []), fall);
    fall.scrollTop = scrolled || 0;
  }

  // --- the workflow that a plugin ran for a request ---

  const svg = (name, attributes, ...children) => {
    const e = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
    e.append(...children);
    return e;
  };

  // columnsOf puts nodes behind what they depend on, and those of the response
  // behind all others.
  function columnsOf(nodes) {
    const byName = new Map(nodes.map(n => [n.name, n])), depth = new Map();
    const before = n => [...(n.links || []).map(l => l.from), n.branch].filter(name => byName.has(name) && name !== n.name);
    const of = (n, seen) => {
      if (depth.has(n.name) || seen.has(n.name)) return depth.get(n.name) ?? 0;
      seen.add(n.name);
      depth.set(n.name, Math.max(-1, ...before(n).filter(name => byName.get(name).phase === n.phase).map(name => of(byName.get(name), seen))) + 1);
      return depth.get(n.name);
    };
    nodes.forEach(n => of(n, new Set()));
    const access = nodes.filter(n => n.phase !== 'response'), response = nodes.filter(n => n.phase === 'response');
    const widest = list => list.length ? Math.max(...list.map(n => depth.get(n.name))) + 1 : 0;
    // What the request goes on to stands at the end of its phase.
    for (const n of nodes) if (n.name === 'service_request') depth.set(n.name, Math.max(depth.get(n.name), widest(access) - 1));
    const first = widest(access), columns = Array.from({ length: first + widest(response) }, () => []);
    for (const n of nodes) columns[(n.phase === 'response' ? first : 0) + depth.get(n.name)].push(n);
    return { columns, first };
  }

  function drawWorkflow(w) {
    const width = 114, height = 40, gapX = 24, gapY = 14, top = 28, left = 14;
    const { columns, first } = columnsOf(w.nodes);
    const tallest = Math.max(...columns.map(c => c.length)), at = new Map();
    columns.forEach((column, x) => column.forEach((n, y) => at.set(n.name, {
      x: left + x * (width + gapX), y: top + (y + (tallest - column.length) / 2) * (height + gapY),
    })));
    const total = { w: left * 2 + columns.length * (width + gapX) - gapX, h: top + tallest * (height + gapY) };
    const events = w.events || [];
    const story = name => events.filter(e => e.name === name);
    const took = name => {
      const events = story(name), begun = events.find(e => e.action === 'run' || e.action === 'schedule'), ended = events.find(e => e.action === 'complete' || e.action === 'fail');
      return begun && ended ? (Number(ended.at) - Number(begun.at)) / 1000 : null;
    };
    const word = n => (n.status || '').replace(/^NODE_/, '').toLowerCase();
    const picture = svg('svg', { width: total.w, height: total.h, viewBox: `0 0 ${total.w} ${total.h}`, role: 'img', 'aria-label': `workflow of ${w.nodes.length} nodes` });
    picture.style.minWidth = total.w * 0.75 + 'px'; // smaller could not be read
    for (const [title, from, to] of [['access', 0, first], ['response', first, columns.length]]) {
      if (from === to) continue;
      const x = left - 8 + from * (width + gapX);
      picture.append(svg('rect', { class: 'lane', x, y: 4, width: (to - from) * (width + gapX) - gapX + 16, height: total.h - 8, rx: 8 }), svg('text', { class: 'lane-title', x: x + 8, y: 19 }, title));
    }
    const values = el('pre');
    values.tabIndex = 0;
    values.hidden = true;
    let chosen = null;
    const choose = (n, box) => {
      chosen?.classList.remove('chosen');
      const again = chosen === box;
      chosen = again ? null : box;
      state.shown.node = again ? null : n.name;
      values.hidden = again;
      if (again) return;
      box.classList.add('chosen');
      values.replaceChildren();
      const told = { node: n.name, type: n.type, ...(n.status ? { status: n.status } : {}), ...(n.error ? { error: n.error } : {}) };
      if (!events.length) Object.assign(told, { from: (n.links || []).map(l => `${[l.from, l.out].filter(Boolean).join('.')}${l.in ? ' → ' + l.in : ''}`), ...(n.branch ? { branch: n.branch, side: n.side } : {}) });
      for (const e of story(n.name)) if (!['dispatch', 'resume'].includes(e.action)) told[{ run: 'in', schedule: 'in', complete: 'out' }[e.action] || e.action] = plain(e.value) ?? e.error ?? null;
      paint(values, JSON.stringify(told, null, 2));
      values.scrollTop = 0;
    };
    const skips = name => events.length > 0 && w.nodes.some(n => n.name === name && n.type !== 'implicit' && n.status !== 'NODE_COMPLETE' && n.status !== 'NODE_ERROR');
    for (const n of w.nodes) {
      const to = at.get(n.name);
      const arrow = (name, title, cls) => {
        const from = at.get(name);
        if (!from || from === to) return;
        const a = { x: from.x + width, y: from.y + height / 2 }, b = { x: to.x, y: to.y + height / 2 }, bend = Math.max(14, (b.x - a.x) / 2);
        picture.append(svg('path', { class: `edge ${cls} ${skips(n.name) || skips(name) ? '' : 'went'}`,
          d: `M${a.x} ${a.y} C${a.x + bend} ${a.y} ${b.x - bend} ${b.y} ${b.x} ${b.y}` }, svg('title', {}, title)));
      };
      for (const l of n.links || []) arrow(l.from, `${[l.from, l.out].filter(Boolean).join('.')} → ${[n.name, l.in].filter(Boolean).join('.')}`, '');
      if (n.branch) arrow(n.branch, `${n.branch} decides on ${n.name}`, 'decides');
    }
    for (const n of w.nodes) {
      const { x, y } = at.get(n.name), us = took(n.name), implicit = n.type === 'implicit';
      const box = svg('g', { class: `node ${word(n)}${implicit ? ' end' : ''}`, transform: `translate(${x} ${y})`, tabindex: 0, role: 'button', 'data-node': n.name },
        svg('title', {}, `${n.name}: ${word(n) || n.type}${us !== null ? ' in ' + duration(us) : ''}${n.error ? '\n' + n.error : ''}`),
        svg('rect', { width, height, rx: implicit ? height / 2 : 6 }),
        svg('text', { class: 'name', x: 10, y: implicit ? 24 : 17 }, !implicit && n.name.length > 14 ? n.name.slice(0, 13) + '…' : n.name));
      if (!implicit) box.append(svg('text', { class: 'kind', x: 10, y: 31 }, n.type), svg('text', { class: 'kind', x: width - 10, y: 31, 'text-anchor': 'end' }, us !== null ? duration(us) : word(n)));
      box.addEventListener('click', () => choose(n, box));
      box.addEventListener('keydown', e => { if (e.key === 'Enter' || e.key === ' ') { e.preventDefault(); e.stopPropagation(); choose(n, box); } });
      picture.append(box);
      if (state.shown.node === n.name) choose(n, box); // drawn again, because there is news
    }
    const box = el('div', '', el('div', 'canvas', picture), values);
    box.id = 'workflow';
    return box;
  }

  // --- a workflow of the configuration, with its last traces ---

  function drawPlan(d) {
    const head = el('div', 'head', el('div', 'title', el('span', 'path', d.scope)),
      facts([['plugin', d.plugin], ['nodes', d.nodes_count], ['traces', d.debug ? 'on request' : 'off']]));
    if (d.error) head.append(el('div', 'failure', d.error));
    const traces = el('div', '');
    traces.id = 'traces';
    if (d.traces.length) {
      traces.append('last traces:', ...d.traces.map(t => {
        const b = el('button', '', el('span', statusClass(t.status), t.status || '···'), ` ${duration(t.us)} `, clock(t.t));
        b.type = 'button';
        b.setAttribute('aria-pressed', t.n === d.shown);
        b.title = 'show this one; again: always the newest';
        b.addEventListener('click', () => { state.shown.request = state.shown.request === t.n ? undefined : t.n; load(); });
        return b;
      }));
      const go = el('button', '', 'open the request');
      go.type = 'button';
      go.addEventListener('click', () => show('requests', d.shown));
      traces.append(go);
    } else if (d.debug) traces.append(el('span', '', 'No trace yet. Try ', el('code', '', `curl -H 'X-DataKit-Debug-Trace: true' ${(state.proxies[0] || 'http://127.0.0.1:8000') + (d.path || '/')}`)));
    else traces.append(el('span', '', 'Its requests are not traced: that takes ', el('code', '', 'debug: true'), ' in its configuration.'));
    $('detail').replaceChildren(head, ...(d.workflow ? [traces, drawWorkflow(d.workflow)] : []));
  }

  // plain takes the types out of what flowed: {type, value}, of an object per field.
  function plain(v) {
    if (v === null || typeof v !== 'object' || !('value' in v)) return v;
    if (v.type !== 'object' || v.value === null || typeof v.value !== 'object') return v.value;
    return Object.fromEntries(Object.entries(v.value).map(([k, e]) => [k, plain(e)]));
  }

  // --- the collector's events and the log ---

  const eventList = new List($('event-list'), 28, () => {
    const row = el('div', '', el('span', 'status'), el('span', 'method'), el('span', 'path'), el('span', 'who'), el('span', 'time'));
    row.setAttribute('role', 'option');
    return row;
  }, (row, e) => {
    const [status, method, path, who, size] = row.children;
    status.className = statusClass(e.status);
    status.textContent = e.status || '–';
    method.textContent = e.method;
    path.textContent = e.target;
    who.textContent = [e.user && `user ${e.user}`, e.company && `company ${e.company}`].filter(Boolean).join(', ');
    size.textContent = bytes(e.bytes);
    row.setAttribute('aria-selected', state.shown?.kind === 'events' && state.shown.n === e.n);
  });

  const lineList = new List($('line-list'), 24, () => el('div', '', el('span', 'time'), el('span', 'level'), el('span', 'text')), (row, l) => {
    row.children[0].textContent = clock(l.t);
    row.children[1].className = 'level-' + l.level;
    row.children[1].textContent = l.level;
    row.children[2].textContent = row.title = l.text;
  });

  const planList = new List($('plan-list'), 28, () => {
    const row = el('div', '', el('span', 'path'), el('span', 'who'), el('span', 'time'));
    row.setAttribute('role', 'option');
    return row;
  }, (row, p) => {
    const [scope, plugin, size] = row.children;
    scope.textContent = p.scope;
    plugin.textContent = p.plugin;
    size.textContent = p.wrong ? 'mistakes' : plural(p.nodes_count, 'node');
    size.classList.toggle('wrong', p.wrong);
    row.setAttribute('aria-selected', state.shown?.kind === 'plans' && state.shown.n === p.n);
  });

  function newest(old, fresh, limit) {
    const seen = new Set(old.map(x => x.n));
    return [...fresh.filter(x => !seen.has(x.n)).sort((a, b) => b.n - a.n), ...old].slice(0, limit);
  }

  function takeStreams(b) {
    if (b.events) state.events = newest(state.events, b.events, state.kept.events);
    if (b.lines) state.lines = newest(state.lines, b.lines, state.kept.lines);
    showStreams(b.events?.length || 0, b.lines?.length || 0);
  }

  function showStreams(events = 0, lines = 0) {
    const own = $('plugins-only').checked;
    const shown = own ? state.lines.filter(l => /^\[[^\]]+:\d+\] /.test(l.text)) : state.lines;
    eventList.set(state.events, events);
    lineList.set(shown, own ? 0 : lines);
    $('event-count').textContent = state.stats ? number(state.stats.events) : '';
    $('line-count').textContent = number(state.lines.length);
    planList.set(state.plans);
    $('plan-count').textContent = number(state.plans.length);
    $('tab-plans').hidden = !state.plans.length;
    const empty = { events: state.events.length ? '' : 'The built-in collector has received nothing yet.', lines: shown.length ? '' : 'Nothing has been logged yet.', plans: '' };
    for (const name of Object.keys(empty)) {
      $(`tab-${name}`).setAttribute('aria-selected', name === state.tab);
      $(`${name.slice(0, -1)}-list`).hidden = name !== state.tab;
    }
    $('own').hidden = state.tab !== 'lines';
    $('stream-empty').hidden = !empty[state.tab];
    $('stream-empty').textContent = empty[state.tab];
  }

  function drawEvent(n, body) {
    const pre = el('pre');
    pre.tabIndex = 0;
    paint(pre, JSON.stringify(body, null, 2));
    const at = state.events.find(e => e.n === n);
    $('detail').replaceChildren(el('div', 'head',
      el('div', 'title', el('span', statusClass(at?.status), at?.status || '–'), el('span', 'method', at?.method || ''), el('span', 'path', at?.target || ''), el('span', 'time', at ? bytes(at.bytes) : '')),
      facts([['event', n], ['user', at?.user], ['company', at?.company], ['at', clock(at?.t)], ['shown', 'as the collector received it, without secrets']])), pre);
  }

  // paint colours JSON: names, texts, numbers.
  function paint(pre, text) {
    const part = /("(?:[^"\\]|\\.)*")(\s*:)?|-?\d[\d.eE+-]*|true|false|null/g;
    let last = 0;
    for (const m of text.matchAll(part)) {
      pre.append(text.slice(last, m.index));
      if (m[2]) pre.append(el('span', 'key', m[1]), m[2]);
      else pre.append(el('span', m[1] ? 'str' : 'num', m[0]));
      last = m.index + m[0].length;
    }
    pre.append(text.slice(last));
  }

  // --- the numbers at the top ---

  let counted = null;
  function takeStats(s) {
    const now = performance.now();
    if (counted && s.requests >= counted.requests && now - counted.at < 3000) {
      const rate = (s.requests - counted.requests) / (now - counted.at) * 1000;
      if (now - counted.at > 900) { state.rate = rate; counted = { requests: s.requests, at: now }; }
    } else counted = { requests: s.requests, at: now };
    state.stats = s;
    showStats();
  }

  function showStats() {
    const s = state.stats;
    if (!s) return;
    const rows = [['requests', s.requests], ['per second', Math.round(state.rate)], ['failed', s.failed, true], ['events', s.events], ['refused posts', s.refused, true],
      ['lost log events', s.lost_logs, true], ['repeats', s.retries, true], ['restarts', s.respawns, true]];
    $('stats').replaceChildren(...rows.filter(r => r[1] || !r[2] || r[0] === 'failed').map(([name, n, bad]) => el('div', bad && n ? 'bad' : '', el('dt', '', name), el('dd', '', number(n)))));
  }
  setInterval(() => { if (counted && performance.now() - counted.at > 2500 && state.rate) { state.rate = 0; showStats(); } }, 1000);

  // --- the feed ---

  function takeHello(h) {
    if (h.run !== state.run) { // another start of kongdev
      Object.assign(state, { run: h.run, newest: 0, waiting: [], events: [], lines: [], plans: [], cleared: 0, stats: null });
      state.requests.clear();
      counted = null;
    }
    state.kept = h.kept;
    state.proxies = h.proxies || [];
    $('proxies').replaceChildren(...state.proxies.map(u => el('span', 'chip', u)));
    $('plugins').replaceChildren(...(h.plugins || []).map(p => {
      const chip = el('span', 'chip', el('b', '', p.name), ` ${p.version}`);
      chip.title = `${p.name} ${p.version}, priority ${p.priority}, phases ${p.phases.join(' ')}`;
      return chip;
    }));
    showRequests(0);
    showStreams();
  }

  // takePlans shows the first workflow before any request has come.
  function takePlans(plans) {
    const first = !state.plans.length;
    state.plans = [...plans.filter(p => !state.plans.some(q => q.n === p.n)), ...state.plans].sort((a, b) => a.n - b.n);
    if (first && !state.shown && !state.requests.size) {
      if (!state.events.length) state.tab = 'plans';
      show('plans', state.plans[0].n);
    }
    showStreams();
  }

  function takeBatch(b) {
    if (b.stats) takeStats(b.stats);
    if (b.events || b.lines) takeStreams(b);
    if (b.plans) takePlans(b.plans);
    if (!b.requests) return;
    if (state.shown?.kind === 'plans' && !state.shown.request && !state.paused) load();
    if (state.paused) { state.waiting = state.waiting.concat(b.requests).slice(-2 * state.kept.requests); return; }
    takeRequests(b.requests);
    if (state.shown?.kind === 'requests' && b.requests.some(r => r.n === state.shown.n)) load();
    if (!state.shown && requestList.items.length) show('requests', requestList.items[0].n);
  }

  function status(name, text) { $('state').dataset.state = name; $('state').textContent = text; }

  const feed = new EventSource('feed');
  feed.addEventListener('open', () => status('live', 'live'));
  feed.addEventListener('error', () => status('lost', 'kongdev is gone'));
  feed.addEventListener('hello', e => takeHello(JSON.parse(e.data)));
  feed.addEventListener('batch', e => takeBatch(JSON.parse(e.data)));

  // --- what people do ---

  $('request-list').addEventListener('click', e => { const row = e.target.closest('.row'); if (row) show('requests', row.item.n); });
  $('event-list').addEventListener('click', e => { const row = e.target.closest('.row'); if (row) show('events', row.item.n); });
  $('plan-list').addEventListener('click', e => { const row = e.target.closest('.row'); if (row) show('plans', row.item.n); });
  $('line-list').addEventListener('click', e => {
    const row = e.target.closest('.row');
    if (!row) return;
    state.shown = { kind: 'line', n: row.item.n };
    requestList.draw();
    eventList.draw();
    const pre = el('pre', '', row.item.text);
    pre.tabIndex = 0;
    $('detail').replaceChildren(el('div', 'head', el('div', 'title', el('span', 'level-' + row.item.level, row.item.level), el('span', 'time', clock(row.item.t)))), pre);
  });
  $('request-list').addEventListener('keydown', e => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[e.key];
    if (!step || !requestList.items.length) return;
    e.preventDefault();
    const now = requestList.items.findIndex(r => state.shown?.kind === 'requests' && r.n === state.shown.n);
    const next = Math.max(0, Math.min(requestList.items.length - 1, now + step));
    requestList.reveal(next);
    show('requests', requestList.items[next].n);
  });
  $('filter').addEventListener('input', e => { state.filter = e.target.value.trim().toLowerCase(); showRequests(0); });
  const pause = on => {
    state.paused = on;
    $('pause').setAttribute('aria-pressed', on);
    $('pause').textContent = on ? 'Go on' : 'Pause';
    if (!on) { const list = state.waiting; state.waiting = []; takeRequests(list); }
  };
  $('pause').addEventListener('click', () => pause(!state.paused));
  $('clear').addEventListener('click', () => { state.cleared = state.newest; state.requests.clear(); showRequests(0); });
  for (const name of ['events', 'lines', 'plans']) $(`tab-${name}`).addEventListener('click', () => { state.tab = name; showStreams(); });
  $('plugins-only').addEventListener('change', () => showStreams());
  document.addEventListener('keydown', e => {
    if (e.target.matches('input, button')) { if (e.key === 'Escape') e.target.blur(); return; }
    if (e.key === '/') { e.preventDefault(); $('filter').focus(); }
    if (e.key === ' ') { e.preventDefault(); pause(!state.paused); }
  });

  const wish = location.hash.match(/^#(requests|events|plans)\/(\d+)$/);
  if (wish?.[1] === 'plans') state.tab = 'plans';
  if (wish) show(wish[1], Number(wish[2]));
  showStreams();
})();

// Makes the portal quicker to use: it searches while one types, shows more people in place, and asks in a pop-up.
// Everything here also works without it; whenever a step fails, the browser does what it would have done without.
(function () {
  'use strict';

  var form = document.querySelector('[data-search]');
  var results = document.getElementById('results');
  var count = document.getElementById('count');
  var ask = document.getElementById('ask');

  // part fetches a piece of a page, as a document to take nodes from. A redirect (to the login) is no piece.
  function part(url, signal) {
    var u = new URL(url, location.href);
    u.searchParams.set('part', '1');
    return fetch(u, { credentials: 'same-origin', headers: { Accept: 'text/html' }, redirect: 'error', signal: signal })
      .then(function (res) {
        if (!res.ok) throw new Error('status ' + res.status);
        return res.text();
      })
      .then(function (text) { return new DOMParser().parseFromString(text, 'text/html'); });
  }

  // --- Search while typing.
  var pending = null;
  var timer = 0;

  function query() {
    var p = new URLSearchParams();
    new FormData(form).forEach(function (value, key) { if (value) p.append(key, value); });
    var s = p.toString();
    return form.getAttribute('action') + (s ? '?' + s : '');
  }

  function busy(on) {
    var list = results.querySelector('[data-people]');
    if (list) list.setAttribute('aria-busy', on ? 'true' : 'false');
  }

  function say(doc) {
    var box = doc.querySelector('[data-count]');
    if (box) count.textContent = box.getAttribute('data-count');
  }

  function search() {
    clearTimeout(timer);
    var quick = document.getElementById('quick');
    if (quick) quick.hidden = Boolean(new FormData(form).get('q').trim() || new FormData(form).get('only'));
    if (pending) pending.abort();
    var mine = pending = new AbortController();
    var url = query();
    busy(true);
    part(url, mine.signal).then(function (doc) {
      say(doc); // before its nodes are taken
      results.replaceChildren.apply(results, Array.from(doc.body.childNodes));
      history.replaceState(null, '', url);
    }).catch(function (err) {
      if (err.name === 'AbortError') return;
      busy(false);
      count.textContent = count.getAttribute('data-failed');
    });
  }

  if (form && results && count && window.AbortController) {
    form.addEventListener('input', function (e) {
      clearTimeout(timer);
      if (e.isComposing) return;
      timer = setTimeout(search, e.target.type === 'checkbox' ? 0 : 180);
    });
    form.addEventListener('compositionend', function () {
      clearTimeout(timer);
      timer = setTimeout(search, 180);
    });
    form.addEventListener('submit', function (e) {
      e.preventDefault();
      search();
    });
    results.addEventListener('click', function (e) {
      var next = e.target.closest('[data-next]');
      if (next && plain(e)) {
        e.preventDefault();
        more(next);
      }
    });
  }

  function plain(e) { return e.button === 0 && !e.ctrlKey && !e.metaKey && !e.shiftKey && !e.altKey; }

  // --- More people, below those shown.
  function more(link) {
    var list = results.querySelector('[data-people]');
    var bar = link.closest('[data-more]');
    if (!list) { location.href = link.href; return; }
    if (pending) pending.abort();
    var mine = pending = new AbortController();
    list.setAttribute('aria-busy', 'true');
    part(link.href, mine.signal).then(function (doc) {
      say(doc);
      var added = doc.querySelector('[data-people]');
      var rows = added ? Array.from(added.children) : [];
      list.append.apply(list, rows);
      var next = doc.querySelector('[data-next]');
      if (next) link.replaceWith(next); else link.remove();
      list.setAttribute('aria-busy', 'false');
      var first = rows.length && rows[0].querySelector('button:not(:disabled)');
      if (first) first.focus();
      else if (next) next.focus();
      else bar.parentNode.parentNode.focus();
    }).catch(function (err) {
      if (err.name === 'AbortError') return;
      location.href = link.href;
    });
  }

  // --- The question, as a pop-up.
  function open() {
    ask.removeAttribute('open');
    ask.showModal();
  }

  if (ask && ask.showModal) {
    document.addEventListener('click', function (e) {
      var button = e.target.closest('button[form="pick"]');
      if (!button || !plain(e)) return;
      e.preventDefault();
      var p = new URLSearchParams(new FormData(button.form));
      p.set(button.name, button.value);
      var url = button.form.getAttribute('action') + '?' + p;
      part(url).then(function (doc) {
        ask.replaceChildren.apply(ask, Array.from(doc.body.childNodes));
        open();
      }).catch(function () { location.href = url; });
    });
    ask.addEventListener('click', function (e) {
      if (e.target.closest('[data-cancel]') && plain(e)) {
        e.preventDefault();
        ask.close();
      }
    });
    ask.addEventListener('close', function () {
      ask.replaceChildren();
      if (form && new URLSearchParams(location.search).has('target')) history.replaceState(null, '', query());
    });
    if (ask.hasAttribute('open')) open();
  }

  // --- Favourites: a star is pressed without leaving the page.
  document.addEventListener('click', function (e) {
    var star = e.target.closest('button[form="star"]');
    if (!star || !plain(e) || !window.fetch) return;
    e.preventDefault();
    var on = star.name === 'add';
    var target = star.value;
    var stars = function () {
      return Array.from(document.querySelectorAll('button[form="star"]')).filter(function (b) { return b.value === target; });
    };
    fetch('/.impersonate/api/v1/favourites' + (on ? '' : '?' + new URLSearchParams({ target: target })), {
      method: on ? 'POST' : 'DELETE', credentials: 'same-origin', redirect: 'error',
      headers: on ? { 'Content-Type': 'application/json' } : {}, body: on ? JSON.stringify({ target: target }) : null
    }).then(function (res) {
      if (!res.ok) throw new Error('status ' + res.status);
      stars().forEach(function (b) {
        b.name = on ? 'remove' : 'add';
        b.setAttribute('aria-pressed', String(on));
      });
      return part('/.impersonate/?quick=1').then(function (doc) {
        var quick = document.getElementById('quick');
        quick.replaceChildren.apply(quick, Array.from(doc.body.childNodes));
        if (document.contains(star)) return;
        (stars()[0] || results).focus();
      });
    }).catch(function () { if (star.form) star.form.requestSubmit(star); });
  });

  // --- One start per press; and usable again when the browser's back button brings the page back.
  document.addEventListener('submit', function (e) {
    if (!e.target.matches('[data-start]')) return;
    var start = e.target, press = e.submitter;
    if (start.dataset.sent) { e.preventDefault(); return; }
    start.dataset.sent = '1';
    if (!navigator.serviceWorker || !start.requestSubmit || start.dataset.alone) return;
    e.preventDefault();
    var wait = new Promise(function (done) { setTimeout(done, 2000); });
    Promise.race([dismiss(), wait]).catch(function () {}).then(function () {
      start.dataset.alone = '1';
      delete start.dataset.sent;
      start.requestSubmit(press);
    });
  });

  // dismiss ends the app's service workers, and what they keep: the first page as somebody else would come from there.
  function dismiss() {
    return navigator.serviceWorker.getRegistrations().then(function (workers) {
      if (!workers.length) return;
      return Promise.all(workers.map(function (w) { return w.unregister(); })).then(function () {
        return window.caches && caches.keys();
      }).then(function (names) {
        return Promise.all((names || []).map(function (name) { return caches.delete(name); }));
      });
    });
  }

  window.addEventListener('pageshow', function (e) {
    if (!e.persisted) return;
    // Kept by the browser from before: whose account it shows may have changed since.
    location.reload();
  });

  // --- The account menu closes by Escape, and by a press elsewhere.
  var menu = document.querySelector('[data-menu]');
  if (menu) {
    document.addEventListener('keydown', function (e) {
      if (e.key !== 'Escape' || !menu.open) return;
      menu.open = false;
      menu.querySelector('summary').focus();
    });
    document.addEventListener('click', function (e) { if (!menu.contains(e.target)) menu.open = false; });
    menu.addEventListener('focusout', function (e) {
      if (e.relatedTarget && !menu.contains(e.relatedTarget)) menu.open = false;
    });
  }

  // --- Time left: counts down, and asks the server when it is over.
  var left = document.querySelector('[data-left]');
  if (left) {
    var until = Date.now() + 1000 * Number(left.getAttribute('data-left'));
    var tick = setInterval(function () {
      var s = Math.round((until - Date.now()) / 1000);
      if (s <= 0) {
        clearInterval(tick);
        setTimeout(function () { location.href = '/.impersonate/'; }, 1500);
        s = 0;
      }
      var m = Math.floor(s / 60) % 60;
      var h = Math.floor(s / 3600);
      left.textContent = left.getAttribute('data-text').replace('{}', (h ? h + ':' + String(m).padStart(2, '0') : m) + ':' + String(s % 60).padStart(2, '0'));
    }, 1000);
  }
})();

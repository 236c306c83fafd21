// The pages of requests, live. They work without this: by the link "Check again".
(function () {
  'use strict';
  var live = document.querySelector('[data-live]');
  var say = document.querySelector('[data-say]');
  if (!live || !window.fetch) return;

  // Times in the reader's own zone and language.
  function times() {
    live.querySelectorAll('time[data-time]').forEach(function (t) {
      var at = new Date(t.getAttribute('datetime'));
      if (!isNaN(at)) t.textContent = at.toLocaleString(live.lang || undefined, { dateStyle: 'medium', timeStyle: 'short' });
    });
  }

  // What all have agreed to goes on by itself, once.
  function go() {
    var form = live.querySelector('form[data-go]');
    if (!form || form.dataset.sent) return false;
    form.requestSubmit();
    return true;
  }

  function version() {
    var part = live.querySelector('[data-version]');
    return part ? part.getAttribute('data-version') : '';
  }

  var failures = 0;
  function ask() {
    fetch(live.dataset.live + '?part=1', { credentials: 'same-origin', headers: { Accept: 'text/html' }, redirect: 'manual' }).then(function (res) {
      if (!res.ok) throw new Error(String(res.status));
      return res.text();
    }).then(function (text) {
      if (failures > 2) say.textContent = '';
      failures = 0;
      var doc = new DOMParser().parseFromString(text, 'text/html');
      var part = doc.querySelector('[data-version]');
      if (!part || part.getAttribute('data-version') === version()) return;
      var at = document.activeElement;
      if (at && live.contains(at) && (at.tagName === 'TEXTAREA' && at.value)) return; // somebody writes a note
      live.replaceChildren(part);
      say.textContent = part.dataset.status;
      times();
      go();
    }).catch(function () {
      if (++failures === 3) say.textContent = live.dataset.failed;
    }).then(later);
  }

  var timer;
  function later() {
    clearTimeout(timer);
    timer = setTimeout(ask, (document.hidden ? 15000 : 2500) * Math.min(1 + failures, 8));
  }
  document.addEventListener('visibilitychange', function () {
    if (!document.hidden) { clearTimeout(timer); ask(); }
  });

  times();
  if (!go()) later();
})();

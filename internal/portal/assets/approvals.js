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

  // What all have agreed to goes on by itself, once: to the start, or where one logs in afresh and comes back from.
  function go() {
    var form = live.querySelector('form[data-go]');
    if (!form || form.dataset.sent) return false;
    if (form.dataset.go === 'login') {
      // Once: whoever comes back from there by the browser's button has changed their mind. And not while nobody looks.
      var key = 'login ' + form.getAttribute('action');
      try {
        if (document.hidden || sessionStorage.getItem(key)) return false;
        sessionStorage.setItem(key, '1');
      } catch (e) {
        return false; // it can't be remembered here
      }
    }
    form.requestSubmit();
    return true;
  }

  function version() {
    var part = live.querySelector('[data-version]');
    return part ? part.getAttribute('data-version') : '';
  }

  var failures = 0;
  function ask() {
    var url = new URL(live.dataset.live, location.href);
    url.searchParams.set('part', '1');
    fetch(url, { credentials: 'same-origin', headers: { Accept: 'text/html' }, redirect: 'manual' }).then(function (res) {
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
    if (document.hidden || go()) return;
    clearTimeout(timer);
    ask();
  });

  times();
  if (!go()) later();
})();

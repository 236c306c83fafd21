// Keeps the banner alive: counts down, notices when the impersonation ends elsewhere, stays in the page and out of its
// way. The banner works without it. It uses nothing a strict policy forbids: no inline style or script, no markup from
// strings.
(() => {
	"use strict";
	const NAME = "impersonate-banner";
	if (!window.customElements || customElements.get(NAME)) return;

	const STATUS = "/.impersonate/api/v1/me";
	const ENDED = "/.impersonate/ended";
	const POLL = 15000; // ms between looks at the server
	const SOON = 60; // s before the end
	const LINGER = 3000; // ms a last word stays to be read

	let host; // the one banner of this page
	let root; // its shadow root
	let end = Infinity; // when it is over, on performance.now()'s clock
	let polled = 0;
	let busy = false;
	let over = false;
	let warned = false;
	let gone = false; // dismissed
	let channel;
	let putBack = []; // when it was put back lately
	let chosen = load(); // what the person chose, in this tab

	class Banner extends HTMLElement {
		connectedCallback() {
			if (host && host !== this) {
				// a copy, from a framework's cache of pages
				if (host.isConnected) this.remove();
				return;
			}
			if (!host) start(this);
		}
	}

	function load() {
		try {
			return JSON.parse(sessionStorage.getItem(NAME)) || {};
		} catch {
			return {}; // storage may be forbidden
		}
	}

	function remember(choice) {
		chosen = choice;
		try {
			sessionStorage.setItem(NAME, JSON.stringify(choice));
		} catch {
			// for this page only
		}
	}

	function choose(change) {
		remember({ ...chosen, ...change });
		arrange();
	}

	const find = (selector) => root.querySelector(selector);

	function start(element) {
		if (framed()) {
			element.remove();
			return;
		}
		host = element;
		root = host.shadowRoot;
		if (!root) {
			const template = host.querySelector("template");
			if (!template) return;
			root = host.attachShadow({ mode: "open" });
			root.append(template.content);
		}
		for (const tools of root.querySelectorAll(".tools")) tools.hidden = false;
		host.dataset.live = "";
		observe();
		if (host.dataset.kind === "notice") {
			find(".dismiss").addEventListener("click", dismiss);
		} else {
			impersonating();
		}
		wanted = host.dataset.position;
		arrange();
		addEventListener("resize", later(arrange, 150));
		addEventListener("scroll", later(dodge, 250), { passive: true, capture: true });
		addEventListener("load", arrange);
		if (window.ResizeObserver) new ResizeObserver(later(() => gone || reserve(), 0)).observe(find(".bar"));
	}

	// framed: inside a page that has a banner of its own.
	function framed() {
		try {
			return window !== top && top.document.querySelector(NAME) !== null;
		} catch {
			return false;
		}
	}

	// page is the window that is left in the end: this one, or the one whose frames the banner is one of.
	function page() {
		try {
			if (top.document.body.localName === "frameset") return top;
		} catch {
			// a page elsewhere
		}
		return window;
	}

	function impersonating() {
		const seconds = Number(host.dataset.remaining);
		if (host.dataset.remaining !== undefined) end = performance.now() + seconds * 1000;
		polled = performance.now();
		find(".fold").addEventListener("click", () => choose({ folded: !find(".bar").classList.contains("folded") }));
		find(".move").addEventListener("click", () => choose({ position: host.dataset.position === "top" ? "bottom" : "top" }));
		const form = find("form");
		if (form) form.addEventListener("submit", () => tell("stop"));
		try {
			channel = new BroadcastChannel("impersonate");
			channel.onmessage = (event) => {
				const message = event.data || {};
				// Another tab of the same impersonation is no news.
				if (message.type === "start" && message.id === host.dataset.id) return;
				setTimeout(check, message.type === "stop" ? 1000 : 0);
			};
			tell("start");
		} catch {
			// an origin without channels: polling will do
		}
		addEventListener("pageshow", (event) => event.persisted && check());
		document.addEventListener("visibilitychange", () => {
			if (document.visibilityState === "visible" && performance.now() - polled > 3000) check();
		});
		setInterval(tick, 1000);
		tick();
	}

	function tell(type) {
		if (channel) channel.postMessage({ type, id: host.dataset.id });
	}

	function tick() {
		ensure();
		if (over) return;
		if (end !== Infinity) {
			const left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
			const time = Math.floor(left / 60) + ":" + String(left % 60).padStart(2, "0");
			fill(find(".left"), host.dataset.left.replace("{time}", time));
			const soon = left <= SOON;
			find(".bar").classList.toggle("soon", soon);
			if (soon !== warned) {
				warned = soon;
				say(soon ? host.dataset.soon : "");
				if (soon) setTimeout(() => over || say(""), LINGER * 3);
			}
			if (left === 0) {
				leave(host.dataset.over);
				return;
			}
		}
		if (document.visibilityState === "visible" && performance.now() - polled >= POLL) check();
	}

	function fill(element, text) {
		if (element && element.textContent !== text) element.textContent = text;
	}

	function say(text) {
		fill(find(".say"), (text || "").replace("{target}", () => host.dataset.target));
	}

	// check asks the server whether this page is still whose it says.
	async function check() {
		if (busy || over || gone) return;
		busy = true;
		polled = performance.now();
		try {
			const response = await fetch(STATUS, {
				cache: "no-store",
				credentials: "same-origin",
				headers: { Accept: "application/json" },
			});
			if (response.status === 401) {
				leave(host.dataset.changed);
				return;
			}
			if (!response.ok) return;
			const live = (await response.json()).impersonation;
			if (!live || live.id !== host.dataset.id) {
				leave(host.dataset.changed);
				return;
			}
			const now = Date.parse(response.headers.get("Date"));
			const until = Date.parse(live.expires_at);
			// The header counts whole seconds: correct only what is clearly off.
			if (now && until && Math.abs(performance.now() + until - now - end) > 2000) {
				end = performance.now() + (until - now);
			}
		} catch {
			// offline, or forbidden by the page's policy: the clock still runs
		} finally {
			busy = false;
		}
	}

	// leave says why, then goes where the server sends a page whose time is over.
	function leave(text) {
		if (over) return;
		over = true;
		find(".bar").classList.remove("folded");
		say(text);
		fill(find(".left"), "");
		const { pathname, search, hash } = page().location;
		const from = encodeURIComponent(pathname + search + hash);
		setTimeout(() => page().location.assign(ENDED + "?from=" + from), LINGER);
	}

	function dismiss() {
		gone = true;
		host.remove();
		unreserve();
	}

	// observe and ensure keep the banner in the page, also when that is written anew. A page that keeps throwing it out
	// of its body gets it beside the body.
	let observer;
	function observe() {
		if (observer) observer.disconnect();
		observer = new MutationObserver(ensure);
		for (const node of [document, document.documentElement, document.body]) {
			if (node) observer.observe(node, { childList: true });
		}
	}

	function ensure() {
		if (gone || (host.isConnected && host.ownerDocument === document)) return;
		const now = performance.now();
		putBack = putBack.filter((at) => now - at < 10000);
		putBack.push(now);
		if (document.body && putBack.length <= 5) {
			document.body.prepend(host);
		} else if (document.documentElement && putBack.length <= 50) {
			document.documentElement.append(host);
		} else {
			return; // tick tries again
		}
		observe();
		arrange();
	}

	// arrange puts the banner where the person wants it; else where it covers nothing of the page that stays in place:
	// at the edge the operator chose, at the other one, or folded.
	let wanted;
	function arrange() {
		if (!host || gone) return;
		settle(chosen.position || chosen.dodged || wanted, Boolean(chosen.folded));
		dodge();
	}

	function dodge() {
		const bar = find(".bar");
		if (gone || chosen.position !== undefined || chosen.folded !== undefined) return;
		if (bar.classList.contains("folded") || host.dataset.kind === "notice" || !covers()) return;
		const before = host.dataset.position;
		const other = before === "top" ? "bottom" : "top";
		settle(other, false);
		if (covers()) {
			settle(before, true);
		} else {
			remember({ ...chosen, dodged: other }); // the next page is likely the same
		}
	}

	function settle(position, folded) {
		const bar = find(".bar");
		folded = folded && !over;
		host.dataset.position = position;
		bar.classList.toggle("folded", folded);
		if (host.dataset.kind !== "notice") {
			label(find(".fold"), folded ? host.dataset.unfold : host.dataset.fold);
			find(".fold").setAttribute("aria-expanded", String(!folded));
			label(find(".move"), position === "top" ? host.dataset.down : host.dataset.up);
		}
		reserve();
	}

	function label(button, text) {
		button.setAttribute("aria-label", text);
		button.title = text;
	}

	// covers: under the bar the page has something that does not scroll away.
	function covers() {
		const box = find(".bar").getBoundingClientRect();
		if (!box.height) return false;
		const fixed = !scrolls();
		for (const y of [box.top + 4, box.bottom - 4]) {
			for (const x of [0.08, 0.3, 0.5, 0.7, 0.92]) {
				for (const element of document.elementsFromPoint(innerWidth * x, y)) {
					if (element === host || element === document.body || element === document.documentElement) continue;
					if (fixed || stays(element)) return true;
				}
			}
		}
		return false;
	}

	function stays(element) {
		for (let e = element; e && e !== document.body; e = e.parentElement) {
			const style = getComputedStyle(e);
			if (style.position !== "fixed" && style.position !== "sticky") continue;
			// What fills the window is a backdrop, or the page itself.
			return style.pointerEvents !== "none" && e.getBoundingClientRect().height < innerHeight * 0.9;
		}
		return false;
	}

	// scrolls: not so a page that fills the window and scrolls only inside, whose end would be cut off by pushing it down.
	function scrolls() {
		return ![document.documentElement, document.body].some((e) => e && /hidden|clip/.test(getComputedStyle(e).overflowY));
	}

	// reserve makes room for the bar: by the banner's own height at the start of an ordinary body, else by padding; a
	// page that does not scroll is made smaller, if it lets itself.
	let ours = []; // what is set on the root element
	function reserve() {
		if (!document.body) return;
		const page = document.documentElement;
		const bar = find(".bar");
		const height = bar.offsetHeight + "px";
		const atTop = host.dataset.position === "top";
		const body = getComputedStyle(document.body);
		for (const name of ours) page.style.removeProperty(name);
		ours = [];
		const set = (name, value) => {
			page.style.setProperty(name, value);
			ours.push(name);
		};
		host.dataset.flow = "none";
		if (bar.classList.contains("folded")) return;
		if (!scrolls()) {
			set(atTop ? "margin-top" : "margin-bottom", height);
			set("height", `calc(100% - ${height})`);
			if (getComputedStyle(page).position === "static") set("position", "relative");
			return;
		}
		if (
			atTop &&
			host.parentNode === document.body &&
			/^(block|flow-root|list-item)$/.test(body.display) &&
			/^(static|relative)$/.test(body.position)
		) {
			delete host.dataset.flow;
			host.style.setProperty("--impersonate-reserve", height);
		} else {
			set(atTop ? "padding-top" : "padding-bottom", height);
		}
		if (atTop && getComputedStyle(page).scrollPaddingTop === "auto") set("scroll-padding-top", height);
	}

	function unreserve() {
		for (const name of ours) document.documentElement.style.removeProperty(name);
		ours = [];
	}

	function later(f, wait) {
		let timer;
		return () => {
			clearTimeout(timer);
			timer = setTimeout(f, wait);
		};
	}

	customElements.define(NAME, Banner);
})();

// Keeps the banner alive: counts down, extends the time, notices when the impersonation ends elsewhere, stays in the
// page, in sight and out of the page's way, and reports where it can't. The banner works without it. It uses nothing a
// strict policy forbids: no inline style or script, no markup from strings.
(() => {
	"use strict";
	const NAME = "impersonate-banner";
	if (!window.customElements || customElements.get(NAME)) return;

	const STATUS = "/.impersonate/api/v1/me";
	const ENDED = "/.impersonate/ended";
	const EXTEND = "/.impersonate/api/v1/impersonations/current/extend";
	const REPORT = "/.impersonate/api/v1/banner";
	const POLL = 15000; // ms between looks at the server
	const SOON = 60; // s before the end
	const URGENT = 300; // s before the end that the button to extend stands out
	const LINGER = 3000; // ms a last word stays to be read
	const AGAIN = 10000; // ms till leaving is tried again
	const PATIENCE = 3; // looks in which the banner is brought back to sight, before it is reported

	let host; // the one banner of this page
	let root; // its shadow root
	let end = Infinity; // when it is over, on performance.now()'s clock
	let polled = 0;
	let busy = false;
	let over = false;
	let warned = false;
	let gone = false; // dismissed
	let leaving = false; // on the way back
	let kept; // what belongs into the shadow root, and into the bar there
	let sentence; // what the bar says
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
		kept = [root, find(".bar")].map((e) => [e, [...e.childNodes]]);
		sentence = find(".who").textContent;
		host.dataset.live = "";
		wanted = host.dataset.position;
		observe();
		if (host.dataset.kind === "notice") {
			find(".dismiss").addEventListener("click", dismiss);
		} else {
			impersonating();
		}
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
		if (form) form.addEventListener("submit", submit);
		// Nothing of the page may hold up what has to be left: no question whether to leave, and no router that takes the
		// address for a view of its own. A question before one's own return is the page's good right.
		const stop = (event) => event.stopImmediatePropagation();
		page().addEventListener("beforeunload", (event) => over && stop(event), true);
		if (page().navigation) page().navigation.addEventListener("navigate", (event) => (over || leaving) && stop(event), true);
		document.addEventListener("fullscreenchange", later(raise, 0));
		addEventListener("beforeprint", lower);
		try {
			channel = new BroadcastChannel("impersonate");
			channel.onmessage = (event) => {
				const message = event.data || {};
				// Another tab of the same impersonation is no news.
				if (message.type === "start" && message.id === host.dataset.id) return;
				setTimeout(heed, message.type === "stop" ? 1000 : 0);
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

	function submit(event) {
		const more = event.submitter && event.submitter.classList.contains("more");
		if (more && !plainly) {
			event.preventDefault();
			extend();
			return;
		}
		leaving = true;
		setTimeout(() => (leaving = false), 1000); // the page asked, and the person stays
		if (!more) tell("stop");
	}

	// extend asks for more time without loading a page. Where the page's policy forbids that, the form is sent after all.
	let plainly = false;
	let extending = false;
	async function extend() {
		if (extending || over) return;
		extending = true;
		const more = find(".more");
		try {
			const response = await fetch(EXTEND, {
				method: "POST",
				credentials: "same-origin",
				headers: { Accept: "application/json", "Content-Type": "application/json" },
				body: JSON.stringify({ press: Number(more.value) }),
			});
			if (response.ok) {
				follow(response, await response.json());
				tell("extend");
				tick();
				announce(host.dataset.extended.replace("{time}", time()));
				return;
			}
			announce(host.dataset.notExtended);
			if (response.status === 403) offer(false);
		} catch {
			plainly = true;
			find("form").requestSubmit(more);
			return;
		} finally {
			extending = false;
		}
		check();
	}

	// offer shows or hides the button; the keyboard's place is not lost with it.
	function offer(more) {
		const button = find(".more");
		if (!button) return;
		const focused = root.activeElement === button;
		button.hidden = !more;
		if (focused && !more) find(".stop").focus();
	}

	function tell(type) {
		if (channel) channel.postMessage({ type, id: host.dataset.id });
	}

	function tick() {
		ensure();
		if (over) return;
		if (end !== Infinity) {
			const left = seconds();
			fill(find(".left"), host.dataset.left.replace("{time}", time()));
			const soon = left <= SOON;
			find(".bar").classList.toggle("soon", soon);
			find(".bar").classList.toggle("urgent", left <= URGENT);
			if (soon !== warned) {
				warned = soon;
				if (soon) announce(host.dataset.soon);
				else say("");
			}
			if (left === 0) {
				leave(host.dataset.over);
				return;
			}
		}
		if (document.visibilityState !== "visible") return;
		watch();
		if (performance.now() - polled >= POLL) check();
	}

	const seconds = () => Math.max(0, Math.ceil((end - performance.now()) / 1000));

	function time() {
		const left = seconds();
		return Math.floor(left / 60) + ":" + String(left % 60).padStart(2, "0");
	}

	function fill(element, text) {
		if (element && element.textContent !== text) element.textContent = text;
	}

	function say(text) {
		fill(find(".say"), (text || "").replace("{target}", () => host.dataset.target));
	}

	// announce says what need not stay.
	let said;
	function announce(text) {
		say(text);
		clearTimeout(said);
		said = setTimeout(() => over || say(""), LINGER * 3);
	}

	// heed checks on another tab's word, which comes only once: till the server has answered.
	async function heed(tries = 5) {
		if ((await check()) || over || gone || tries === 1) return;
		setTimeout(heed, 2000, tries - 1);
	}

	// check asks the server whether this page is still whose it says, and tells whether it answered.
	async function check() {
		if (busy || over || gone) return false;
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
				return true;
			}
			if (!response.ok) return false;
			const live = (await response.json()).impersonation;
			if (!live || live.id !== host.dataset.id) {
				leave(host.dataset.changed);
				return true;
			}
			follow(response, live);
			return true;
		} catch {
			// offline, or forbidden by the page's policy: the clock still runs
			return false;
		} finally {
			busy = false;
		}
	}

	// follow takes over what the server says of the time.
	function follow(response, live) {
		const now = Date.parse(response.headers.get("Date"));
		const until = Date.parse(live.expires_at);
		// The header counts whole seconds: correct only what is clearly off.
		if (now && until && Math.abs(performance.now() + until - now - end) > 2000) {
			end = performance.now() + (until - now);
		}
		const more = find(".more");
		if (!more || live.extensions_left === undefined) return;
		more.value = live.extensions + 1;
		offer(live.extensions_left > 0);
	}

	// leave says why, then goes where the server sends a page whose time is over.
	function leave(text) {
		if (over) return;
		over = true;
		find(".bar").classList.remove("folded");
		clearTimeout(said);
		say(text);
		fill(find(".left"), "");
		offer(false);
		const go = () => {
			const { pathname, search, hash } = page().location; // an app may have written another there since
			page().location.assign(ENDED + "?from=" + encodeURIComponent(pathname + search + hash));
			setTimeout(go, AGAIN); // still here
		};
		setTimeout(go, LINGER);
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
		restore();
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

	// watch looks whether the person can see the banner, does what it can to change it, and then reports it: once for each
	// page, since what hides it once does so always.
	let misses = 0;
	let reported = false;
	let looks = 0;
	function watch() {
		if (gone || !innerHeight || !innerWidth || ++looks < 2) return; // at first the stylesheet may be on its way
		shy();
		const why = unseen();
		if (!why) {
			misses = 0;
			return;
		}
		misses++;
		mend();
		if (misses <= PATIENCE || reported) return;
		reported = true;
		const body = JSON.stringify({ why, path: location.pathname });
		fetch(REPORT, { method: "POST", keepalive: true, credentials: "same-origin", headers: { "Content-Type": "application/json" }, body }).catch(
			() => {}, // forbidden by the page's policy, or offline
		);
	}

	// unseen is why the banner is not seen; "" when it is.
	function unseen() {
		if (!host.isConnected || host.ownerDocument !== document) return "removed";
		const bar = find(".bar");
		const who = find(bar.classList.contains("folded") ? ".short" : ".who");
		for (const e of [bar, who]) {
			if (!e.getClientRects().length || getComputedStyle(e).visibility !== "visible") return "hidden";
			const { width, height } = e.getBoundingClientRect();
			if (width < 8 || height < 8) return "empty";
		}
		if (faint(bar)) return "transparent";
		const box = bar.getBoundingClientRect();
		const width = Math.min(box.right, innerWidth) - Math.max(box.left, 0);
		const height = Math.min(box.bottom, innerHeight) - Math.max(box.top, 0);
		if (width < box.width / 2 || height < box.height / 2) return "offscreen";
		if (clipped(bar)) return "clipped";
		if (modals().length) return ""; // nothing behind one can be hit
		const hits = [0.1, 0.3, 0.5, 0.7, 0.9].filter((x) => document.elementFromPoint(box.left + box.width * x, box.top + box.height / 2) === host);
		return hits.length < 3 ? "covered" : "";
	}

	// above are the elements whose looks the bar shares: all that hold it, or none in the top layer.
	function above(bar) {
		const all = [bar];
		if (!lifted(bar)) for (let e = host; e; e = e.parentElement) all.push(e);
		return all;
	}

	function faint(bar) {
		let opacity = 1;
		for (const e of above(bar)) {
			const style = getComputedStyle(e);
			opacity *= Number(style.opacity);
			if (/(opacity|brightness|contrast)\(0(\.[0-3]\d*)?\)|blur\(([3-9]|\d\d)/.test(style.filter)) return true;
		}
		return opacity < 0.4;
	}

	// clipped: by a shape, or a mask, of which nobody here can tell what it leaves.
	function clipped(bar) {
		return above(bar).some((e) => {
			const style = getComputedStyle(e);
			return (style.clipPath || "none") !== "none" || (style.maskImage || "none") !== "none" || style.contentVisibility === "hidden";
		});
	}

	function modals() {
		try {
			return [...document.querySelectorAll(":modal")].filter((e) => e !== document.fullscreenElement);
		} catch {
			return []; // a browser without
		}
	}

	// mend undoes what was done to the bar's own elements, lifts it above all of the page, and takes it out of the body.
	function mend() {
		const bar = find(".bar");
		for (const e of [bar, ...bar.querySelectorAll("[style], [inert]")]) {
			e.removeAttribute("style");
			e.removeAttribute("inert");
		}
		bar.hidden = false;
		if (misses > 1 && host.parentNode !== document.documentElement) {
			document.documentElement.append(host);
			observe();
		}
		raise();
		arrange();
	}

	const lifted = (bar) => Boolean(bar.hidePopover) && bar.matches(":popover-open");

	// raise puts the bar on top of the browser's top layer, above any z-index and out of what its parents do to it.
	function raise() {
		const bar = find(".bar");
		if (gone || !bar.showPopover) return;
		try {
			lower();
			bar.popover = "manual";
			bar.showPopover();
		} catch {
			// not in a document just now
		}
	}

	function lower() {
		const bar = find(".bar");
		if (lifted(bar)) bar.hidePopover();
	}

	// shy folds the bar into a pill, on top, while a dialog that fills the window would hide it. The person can neither
	// reach it nor need the room under it then; it says where they are.
	let shied = false;
	function shy() {
		// Libraries silence all beside their dialogs. The way back stays.
		host.removeAttribute("inert");
		host.removeAttribute("aria-hidden");
		const box = find(".bar").getBoundingClientRect();
		const under = modals().some((e) => {
			const other = e.getBoundingClientRect();
			return other.left <= box.left && other.right >= box.right && other.top <= box.top && other.bottom >= box.bottom;
		});
		if (under && !shied) {
			shied = true;
			settle(host.dataset.position, true);
			raise();
		} else if (shied && !modals().length) {
			shied = false;
			arrange();
		}
	}

	// restore puts back what was taken out of the banner, or written into it.
	function restore() {
		for (const [e, nodes] of kept) if (nodes.some((n) => n.parentNode !== e)) e.replaceChildren(...nodes);
		fill(find(".who"), sentence);
	}

	// arrange puts the banner where the person wants it; else where it covers nothing of the page that stays in place:
	// at the edge the operator chose, at the other one, or folded.
	let wanted;
	function arrange() {
		if (!host || gone || shied) return;
		settle(chosen.position || chosen.dodged || wanted, Boolean(chosen.folded));
		dodge();
	}

	function dodge() {
		const bar = find(".bar");
		if (gone || shied || chosen.folded !== undefined) return;
		if (bar.classList.contains("folded") || host.dataset.kind === "notice" || modals().length) return;
		if (page() === window && bar.offsetHeight > innerHeight / 3) {
			settle(host.dataset.position, true); // of a window so low, or a page so enlarged, it would take too much
			return;
		}
		if (chosen.position !== undefined || !covers()) return;
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

package banner

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxNameText and maxReasonText bound what is shown of a name and of a reason or the operator's text, in characters.
const (
	maxNameText   = 80
	maxReasonText = 500
)

// Render returns the banner as it stands in a page without policies. It is ASCII only, so it reads the same in any
// charset that includes ASCII, and well-formed XML, so it can stand in XHTML.
func Render(info *Info) []byte {
	return appendFragment(nil, info, &grants{origin: info.Origin}, "")
}

// appendFragment appends the banner to b. The integrity attributes are for pages with an Integrity-Policy.
//
// It is one element with a declarative shadow root: the page's styles don't reach in, and nothing of it leaks out. The
// script makes the root where the browser (or XML) does not, and without either a link with the sentence is left.
func appendFragment(b []byte, info *Info, g *grants, scriptIntegrity string) []byte {
	t := textsFor(info.Languages)
	actor, target := orElse(info.Actor, info.ActorUsername), orElse(info.Target, info.TargetUsername)
	notice := info.Notice != ""
	position := "top"
	if info.Position == "bottom" {
		position = "bottom"
	}

	b = append(b, `<impersonate-banner xmlns="http://www.w3.org/1999/xhtml" ng-non-bindable="" v-pre="" data-kind="`...)
	if notice {
		b = append(b, `notice" data-position="`...)
	} else {
		b = append(b, `impersonation" data-position="`...)
	}
	b = append(b, position...)
	if !notice {
		b = append(b, `" data-id="`...)
		b = escape(b, info.ImpersonationID, maxNameText)
		b = append(b, `" data-target="`...)
		b = escape(b, target, maxNameText)
		if !info.ExpiresAt.IsZero() {
			b = append(b, `" data-remaining="`...)
			b = strconv.AppendInt(b, remaining(info), 10)
		}
		b = append(b, '"')
		b = append(b, t.script...)
		if info.extendable() {
			b = append(b, t.scriptMore...)
		}
	} else {
		b = append(b, '"')
	}
	b = append(b, `><template shadowrootmode="open"><link rel="stylesheet" href="`...)
	b = escape(b, info.Origin, 1000)
	b = append(b, assetStyle.path...)
	b = append(b, `?c=`...)
	colour := info.Color
	if info.Emergency {
		colour = EmergencyColor
	}
	b = append(b, parseColor(colour).hex()...)
	b = append(b, '"')
	b = appendNonce(b, g.styleNonce)
	b = append(b, `/><div class="bar`...)
	switch {
	case notice:
		b = append(b, ` notice`...)
	case !info.ExpiresAt.IsZero() && remaining(info) <= urgent:
		b = append(b, ` urgent`...)
	}
	b = append(b, `" role="region" lang="`...)
	b = append(b, t.lang...)
	b = append(b, `" aria-label="`...)
	b = append(b, t.region...)
	b = append(b, `"><p class="who"><bdi>`...)
	b = appendSentence(b, info, t, actor, target)
	b = append(b, `</bdi></p>`...)
	if info.Bell != nil {
		b = append(b, `<a class="more" target="_top" href="`...)
		b = escape(b, info.Origin, 1000)
		b = append(b, pathHistory+`">`...)
		b = append(b, t.history...)
		b = append(b, `</a>`...)
	}
	if notice {
		b = append(b, `<span class="tools" hidden="hidden"><button type="button" class="dismiss">`...)
		b = append(b, t.dismiss...)
		b = append(b, `</button></span>`...)
	} else {
		b = appendControls(b, info, g, t, actor, target)
	}
	b = append(b, `<p class="say" role="status" dir="auto"></p></div></template>`...)
	if !g.noScript {
		b = append(b, `<script async="async" src="`...)
		b = escape(b, info.Origin, 1000)
		b = append(b, assetScript.path...)
		b = append(b, '"')
		b = appendNonce(b, g.scriptNonce)
		if scriptIntegrity != "" {
			b = append(b, ` crossorigin="anonymous" integrity="`...)
			b = append(b, scriptIntegrity...)
			b = append(b, '"')
		}
		b = append(b, `></script>`...)
	}
	b = append(b, `<a target="_top" href="`...)
	b = escape(b, info.Origin, 1000)
	if info.Bell != nil {
		b = append(b, pathHistory+`">`...)
	} else {
		b = append(b, pathPortal+`">`...)
	}
	b = appendSentence(b, info, t, actor, target)
	return append(b, `</a></impersonate-banner>`...)
}

func appendControls(b []byte, info *Info, g *grants, t *texts, actor, target string) []byte {
	b = append(b, `<p class="short">`...)
	b = appendName(b, actor)
	b = append(b, ` &#8250; `...) // mirrored where text runs from right to left
	b = appendName(b, target)
	if info.Mode == "read_only" {
		b = append(b, `</p><span class="mode">`...)
		b = append(b, t.readOnly...)
	} else {
		b = append(b, `</p><span class="mode full">`...)
		b = append(b, t.full...)
	}
	b = append(b, `</span>`...)
	if info.Reason != "" {
		b = append(b, `<details class="why"><summary>`...)
		b = append(b, t.reason...)
		b = append(b, `</summary><p><bdi>`...)
		b = escape(b, info.Reason, maxReasonText)
		b = append(b, `</bdi></p></details>`...)
	}
	if !info.ExpiresAt.IsZero() {
		b = append(b, `<span class="left" role="timer" dir="auto">`...)
		b = appendFilled(b, t.minutes, strconv.FormatInt((remaining(info)+59)/60, 10), "", "")
		b = append(b, `</span>`...)
	}
	if g.noForm {
		b = append(b, `<a class="stop" target="_top" href="`...)
		b = escape(b, info.Origin, 1000)
		b = append(b, pathPortal+`">`...)
		b = append(b, t.stop...)
		b = append(b, `</a>`...)
	} else {
		b = append(b, `<form method="post" target="_top" action="`...)
		b = escape(b, info.Origin, 1000)
		b = append(b, pathStop+`">`...)
		if info.extendable() {
			b = appendMore(b, info, t)
		}
		b = append(b, `<button class="stop" type="submit">`...)
		b = append(b, t.stop...)
		b = append(b, `</button></form>`...)
	}
	return append(b, `<span class="tools" hidden="hidden"><button type="button" class="move"></button><button type="button" class="fold"></button></span>`...)
}

// appendMore appends the button that extends the time. It is in the form of the way back, with an address of its own.
func appendMore(b []byte, info *Info, t *texts) []byte {
	b = append(b, `<button class="more" type="submit" name="press" value="`...)
	b = strconv.AppendInt(b, int64(info.Press), 10)
	b = append(b, `" formaction="`...)
	b = escape(b, info.Origin, 1000)
	b = append(b, pathExtend+`">`...)
	unit, n := t.unitMinutes, int64(info.Extension/time.Minute)
	if info.Extension%time.Hour == 0 {
		unit, n = t.unitHours, int64(info.Extension/time.Hour)
	}
	b = appendFilled(b, t.extend, strings.Replace(unit, "{time}", strconv.FormatInt(n, 10), 1), "", "")
	return append(b, `</button>`...)
}

// appendSentence appends what the banner says, names set apart so that their direction does not turn the rest around.
func appendSentence(b []byte, info *Info, t *texts, actor, target string) []byte {
	switch {
	case info.Bell != nil:
		return appendBell(b, info.Bell, t, actor)
	case info.Notice != "":
		cause, ok := t.causes[info.Notice]
		if !ok {
			cause = t.causes[""]
		}
		return appendFilled(b, strings.Replace(t.ended, "{cause}", cause, 1), "", actor, target)
	case info.Emergency:
		calm := *info
		calm.Emergency = false
		b = append(b, t.emergency...)
		return appendSentence(append(b, ' '), &calm, t, actor, target)
	case info.Text != "":
		return escape(b, info.Text, maxReasonText)
	}
	return appendFilled(b, t.sentence, "", actor, target)
}

// appendBell appends that somebody used the person's account.
func appendBell(b []byte, bell *Bell, t *texts, actor string) []byte {
	text := t.bell
	if bell.Live {
		text = t.bellLive
	}
	b = appendFilled(b, text, string(escape(nil, bell.When, maxNameText)), actor, "")
	if bell.Reason != "" {
		b = append(b, `: <span dir="auto">`...)
		b = escape(b, bell.Reason, maxReasonText)
		b = append(b, `</span>`...)
	}
	if bell.More > 0 {
		b = append(b, ' ')
		b = append(b, strings.Replace(t.bellMore, "{n}", strconv.Itoa(bell.More), 1)...)
	}
	return b
}

// appendFilled appends one of the texts with its {time}, {actor} and {target} filled in.
func appendFilled(b []byte, text, time, actor, target string) []byte {
	for {
		open := strings.IndexByte(text, '{')
		if open < 0 {
			return append(b, text...)
		}
		b = append(b, text[:open]...)
		text = text[open:]
		switch {
		case strings.HasPrefix(text, "{time}"):
			b = append(b, time...)
		case strings.HasPrefix(text, "{actor}"):
			b = appendName(b, actor)
		case strings.HasPrefix(text, "{target}"):
			b = appendName(b, target)
		}
		text = text[strings.IndexByte(text, '}')+1:]
	}
}

func appendName(b []byte, name string) []byte {
	b = append(b, `<bdi>`...)
	b = escape(b, name, maxNameText)
	return append(b, `</bdi>`...)
}

func appendNonce(b []byte, nonce string) []byte {
	if nonce == "" {
		return b
	}
	b = append(b, ` nonce="`...)
	b = append(b, nonce...) // base64
	return append(b, '"')
}

func orElse(s, other string) string {
	if strings.TrimSpace(s) == "" {
		return other
	}
	return s
}

// urgent is how many seconds before the end the button that extends the time stands out.
const urgent = 5 * 60

// extendable tells whether the time can be extended.
func (i *Info) extendable() bool {
	return i.Extension >= time.Minute && i.Press > 0 && i.Notice == "" && !i.ExpiresAt.IsZero()
}

// remaining is the time left, in seconds, rounded up.
func remaining(info *Info) int64 {
	left := info.ExpiresAt.Sub(info.Now)
	if left <= 0 {
		return 0
	}
	return int64((left + time.Second - 1) / time.Second)
}

// plain are the bytes that stand for themselves in text and in quoted attributes, of HTML and of XML.
var plain = func() (set [256]bool) {
	for c := ' '; c < 0x7f; c++ {
		set[c] = !strings.ContainsRune(`<>&"'{[`, c)
	}
	return set
}()

// escape appends at most limit characters of s as ASCII: what is markup, and what is not ASCII, by number. What no
// text should hold (controls, broken UTF-8) becomes U+FFFD.
func escape(b []byte, s string, limit int) []byte {
	for i, n := 0, 0; i < len(s); n++ {
		run := i
		for i < len(s) && n < limit && plain[s[i]] {
			i++
			n++
		}
		b = append(b, s[run:i]...)
		if i == len(s) {
			break
		}
		if n == limit {
			return append(b, "&#8230;"...)
		}
		c := s[i]
		if i > 0 && c == s[i-1] && (c == '{' || c == '[') {
			// Frameworks that run a page's own markup as templates would run "{{…}}" in a name.
			b = append(b, "&#8288;"...)
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			r = ' '
		case r < ' ' || r >= 0x7f && r < 0xa0 || r&0xfffe == 0xfffe:
			r = utf8.RuneError
		}
		b = append(b, '&', '#')
		b = strconv.AppendInt(b, int64(r), 10)
		b = append(b, ';')
	}
	return b
}

// escapeText escapes one of the texts once and for all, but for what is to be filled in.
func escapeText(s string) string {
	var b []byte
	for {
		open, end := strings.IndexByte(s, '{'), strings.IndexByte(s, '}')
		if open < 0 {
			return string(escape(b, s, maxReasonText))
		}
		b = escape(b, s[:open], maxReasonText)
		b = append(b, s[open:end+1]...)
		s = s[end+1:]
	}
}

func init() {
	for _, t := range languages {
		for _, text := range [...]*string{
			&t.region, &t.sentence, &t.emergency, &t.full, &t.readOnly, &t.reason, &t.minutes, &t.left, &t.stop, &t.soon, &t.over, &t.changed,
			&t.fold, &t.unfold, &t.up, &t.down, &t.dismiss, &t.ended, &t.bell, &t.bellLive, &t.bellMore, &t.history, &t.extend, &t.unitMinutes, &t.unitHours, &t.extended, &t.notExtended,
		} {
			*text = escapeText(*text)
		}
		for cause, text := range t.causes {
			t.causes[cause] = escapeText(text)
		}
		for _, a := range [...]struct{ name, text string }{
			{"left", t.left},
			{"soon", t.soon},
			{"over", t.over},
			{"changed", t.changed},
			{"fold", t.fold},
			{"unfold", t.unfold},
			{"up", t.up},
			{"down", t.down},
		} {
			t.script = append(t.script, ` data-`+a.name+`="`+a.text+`"`...)
		}
		t.scriptMore = []byte(` data-extended="` + t.extended + `" data-not-extended="` + t.notExtended + `"`)
	}
}

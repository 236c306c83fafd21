package banner

import (
	"net/http"
	"testing"
)

func request(method string, headers ...string) *http.Request {
	r := &http.Request{Method: method, Header: http.Header{}}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func TestDecide(t *testing.T) {
	nav := []string{"Sec-Fetch-Dest", "document", "Sec-Fetch-Mode", "navigate"}
	old := []string{"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
	html := []string{"Content-Type", "text/html; charset=utf-8"}
	for _, tt := range []struct {
		name     string
		method   string
		request  []string
		status   int
		response []string
		verdict  Verdict
		reason   string
	}{
		{"page", "GET", nav, 200, html, Mark, ""},
		{"page, bare type", "GET", nav, 200, []string{"Content-Type", "text/html"}, Mark, ""},
		{"page, odd type", "GET", nav, 200, []string{"Content-Type", " TEXT/HTML ;charset=x"}, Mark, ""},
		{"answer to a form", "POST", nav, 200, html, Mark, ""},
		{"error page", "GET", nav, 500, html, Mark, ""},
		{"not found", "GET", nav, 404, html, Mark, ""},
		{"XHTML", "GET", nav, 200, []string{"Content-Type", "application/xhtml+xml"}, Mark, ""},
		{"no type", "GET", nav, 200, nil, Mark, ""},
		{"type to be guessed", "GET", nav, 200, []string{"Content-Type", "unknown/unknown"}, Mark, ""},
		{"two types", "GET", nav, 200, []string{"Content-Type", "text/plain", "Content-Type", "text/html"}, Mark, ""},
		{"two types in a line", "GET", nav, 200, []string{"Content-Type", "text/plain, text/html"}, Mark, ""},
		{"text/htmlx", "GET", nav, 200, []string{"Content-Type", "text/htmlx"}, Pass, ReasonNotHTML},
		{"two types, the last no page", "GET", nav, 200, []string{"Content-Type", "text/html, application/json"}, Mark, ""},
		{"no semicolon", "GET", nav, 200, []string{"Content-Type", "text/html charset=utf-8"}, Mark, ""},
		{"a comment for parameters", "GET", nav, 200, []string{"Content-Type", "text/html(x)"}, Mark, ""},
		{"no slash", "GET", nav, 200, []string{"Content-Type", "html"}, Mark, ""},
		{"empty type", "GET", nav, 200, []string{"Content-Type", ""}, Mark, ""},
		{"a comma in quotes", "GET", nav, 200, []string{"Content-Type", `text/plain; x=",text/html"`}, Pass, ReasonNotHTML},
		{"XML, perhaps a page", "GET", nav, 200, []string{"Content-Type", "text/xml"}, Mark, ""},
		{"a feed, perhaps a page", "GET", nav, 200, []string{"Content-Type", "application/atom+xml"}, Mark, ""},
		{"a picture, perhaps a page", "GET", nav, 200, []string{"Content-Type", "image/svg+xml"}, Mark, ""},
		{"text", "GET", nav, 200, []string{"Content-Type", "text/plain"}, Pass, ReasonNotHTML},
		{"PDF", "GET", nav, 200, []string{"Content-Type", "application/pdf"}, Pass, ReasonNotHTML},
		{"JSON", "GET", nav, 200, []string{"Content-Type", "application/json"}, Pass, ReasonNotHTML},
		{"image", "GET", nav, 200, []string{"Content-Type", "image/png"}, Pass, ReasonNotHTML},
		{"page in a frame", "GET", []string{"Sec-Fetch-Dest", "iframe", "Accept", "text/html"}, 200, html, Pass, ReasonNotDocument},
		{"page in an old frame", "GET", []string{"Sec-Fetch-Dest", "frame"}, 200, html, Pass, ReasonNotDocument},
		{"page in an object", "GET", []string{"Sec-Fetch-Dest", "object"}, 200, html, Pass, ReasonNotDocument},
		{"frame in another origin's page", "GET", []string{"Sec-Fetch-Dest", "iframe", "Sec-Fetch-Site", "same-site"}, 200, html, Mark, ""},
		{"frame in its own page", "GET", []string{"Sec-Fetch-Dest", "iframe", "Sec-Fetch-Site", "same-origin"}, 200, html, Pass, ReasonNotDocument},
		{"page in an embed", "GET", []string{"Sec-Fetch-Dest", "embed", "Sec-Fetch-Site", "same-origin"}, 200, html, Pass, ReasonNotDocument},
		{"by a service worker", "GET", append([]string{"Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "navigate"}, old...), 200, html, Mark, ""},
		{"by a service worker, copied", "GET", []string{"Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "cors", "Upgrade-Insecure-Requests", "1"}, 200, html, Mark, ""},
		{"saved link", "GET", []string{"Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "navigate"}, 200, html, Pass, ReasonNotDocument},
		{"prerendered", "GET", append([]string{"Sec-Purpose", "prefetch;prerender"}, nav...), 200, html, Mark, ""},
		{"fetch", "GET", []string{"Sec-Fetch-Dest", "empty", "Accept", "text/html"}, 200, html, Pass, ReasonNotDocument},
		{"script", "GET", []string{"Sec-Fetch-Dest", "script"}, 200, html, Pass, ReasonNotDocument},
		{"plain http", "GET", old, 200, html, Mark, ""},
		{"plain http, fetch", "GET", []string{"Accept", "*/*"}, 200, html, Pass, ReasonNotDocument},
		{"plain http, jQuery", "GET", append([]string{"X-Requested-With", "XMLHttpRequest"}, old...), 200, html, Pass, ReasonNotDocument},
		{"plain http, htmx", "GET", append([]string{"HX-Request", "true"}, old...), 200, html, Pass, ReasonNotDocument},
		{"plain http, Turbo", "GET", append([]string{"Turbo-Frame", "x"}, old...), 200, html, Pass, ReasonNotDocument},
		{"plain http, Unpoly", "GET", append([]string{"X-Up-Target", ".main"}, old...), 200, html, Pass, ReasonNotDocument},
		{"htmx", "GET", []string{"HX-Request", "true", "Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "cors", "Accept", "text/html"}, 200, html, Pass, ReasonNotDocument},
		{"no Accept", "GET", nil, 200, html, Pass, ReasonNotDocument},
		{"HEAD", "HEAD", nav, 200, html, Pass, ReasonNoBody},
		{"no content", "GET", nav, 204, html, Pass, ReasonNoBody},
		{"reset content", "GET", nav, 205, html, Pass, ReasonNoBody},
		{"not modified", "GET", nav, 304, html, Pass, ReasonNoBody},
		{"empty", "GET", nav, 200, append([]string{"Content-Length", "0"}, html...), Pass, ReasonNoBody},
		{"early hints", "GET", nav, 103, html, Pass, ReasonNoBody},
		{"redirect", "GET", nav, 302, append([]string{"Location", "/"}, html...), Pass, ReasonRedirect},
		{"redirect to nowhere", "GET", nav, 302, html, Mark, ""},
		{"redirect to an empty place", "GET", nav, 302, append([]string{"Location", ""}, html...), Mark, ""},
		{"a status that redirects no more", "GET", nav, 305, append([]string{"Location", "/"}, html...), Mark, ""},
		{"a status unknown", "GET", nav, 399, append([]string{"Location", "/"}, html...), Mark, ""},
		{"created elsewhere", "POST", nav, 201, append([]string{"Location", "/"}, html...), Mark, ""},
		{"refreshed elsewhere", "GET", nav, 200, append([]string{"Refresh", "0; url=/"}, html...), Mark, ""},
		{"log in", "GET", nav, 401, append([]string{"WWW-Authenticate", "Basic"}, html...), Mark, ""},
		{"choices", "GET", nav, 300, append([]string{"Location", "/"}, html...), Mark, ""},
		{"attachment", "GET", nav, 200, append([]string{"Content-Disposition", `attachment; filename="x.html"`}, html...), Pass, ReasonAttachment},
		{"unknown disposition", "GET", nav, 200, append([]string{"Content-Disposition", `form-data; name=x`}, html...), Pass, ReasonAttachment},
		{"attachments", "GET", nav, 200, append([]string{"Content-Disposition", "attachment", "Content-Disposition", "attachment"}, html...), Pass, ReasonAttachment},
		{"attachment and inline", "GET", nav, 200, append([]string{"Content-Disposition", "attachment", "Content-Disposition", "inline"}, html...), Mark, ""},
		{"attachment, inline", "GET", nav, 200, append([]string{"Content-Disposition", "attachment, inline"}, html...), Mark, ""},
		{"attachment in quotes", "GET", nav, 200, append([]string{"Content-Disposition", `"attachment"`}, html...), Mark, ""},
		{"attachment without semicolon", "GET", nav, 200, append([]string{"Content-Disposition", `attachment filename=x`}, html...), Mark, ""},
		{"attachment not found", "GET", nav, 404, append([]string{"Content-Disposition", `attachment`}, html...), Mark, ""},
		{"inline", "GET", nav, 200, append([]string{"Content-Disposition", `Inline; filename=x`}, html...), Mark, ""},
		{"disposition without type", "GET", nav, 200, append([]string{"Content-Disposition", `filename=attachment`}, html...), Mark, ""},
		{"partial", "GET", nav, 206, html, Unmarkable, ReasonPartial},
		{"partial image", "GET", nav, 206, []string{"Content-Type", "image/png"}, Pass, ReasonNotHTML},
		{"multipart", "GET", nav, 200, []string{"Content-Type", "multipart/x-mixed-replace; boundary=x"}, Unmarkable, ReasonMultipart},
		{"byte ranges", "GET", nav, 206, []string{"Content-Type", "multipart/byteranges; boundary=x"}, Unmarkable, ReasonMultipart},
		{"MHTML as a message", "GET", nav, 200, []string{"Content-Type", "message/rfc822"}, Unmarkable, ReasonMultipart},
		{"MHTML", "GET", nav, 200, []string{"Content-Type", "multipart/related; type=\"text/html\""}, Unmarkable, ReasonMultipart},
		{"UTF-32", "GET", nav, 200, []string{"Content-Type", `text/html; charset="UTF-32"`}, Unmarkable, ReasonCharset},
		{"UTF-7", "GET", nav, 200, []string{"Content-Type", `text/html; charset=utf-7`}, Unmarkable, ReasonCharset},
		{"replacement", "GET", nav, 200, []string{"Content-Type", `text/html; charset=ISO-2022-KR`}, Unmarkable, ReasonCharset},
		{"x-user-defined", "GET", nav, 200, []string{"Content-Type", `text/html; charset=x-user-defined`}, Mark, ""},
		{"no label there is", "GET", nav, 200, []string{"Content-Type", `text/html; charset=?`}, Mark, ""},
		{"UTF-16", "GET", nav, 200, []string{"Content-Type", `text/html; charset="UTF-16"`}, Mark, ""},
		{"UTF-16 XHTML", "GET", nav, 200, []string{"Content-Type", `application/xhtml+xml; charset=utf-16le`}, Unmarkable, ReasonCharset},
		{"Shift_JIS", "GET", nav, 200, []string{"Content-Type", `text/html; charset=shift_jis`}, Mark, ""},
		{"gzip", "GET", nav, 200, append([]string{"Content-Encoding", "gzip"}, html...), Mark, ""},
		{"stacked", "GET", nav, 200, append([]string{"Content-Encoding", "GZIP, br", "Content-Encoding", "zstd"}, html...), Mark, ""},
		{"unknown encoding", "GET", nav, 200, append([]string{"Content-Encoding", "compress"}, html...), Unmarkable, ReasonEncoding},
		{"no encoding", "GET", nav, 200, append([]string{"Content-Encoding", "UTF-8, identity"}, html...), Mark, ""},
		{"no encoding beside one", "GET", nav, 200, append([]string{"Content-Encoding", "gzip, none"}, html...), Unmarkable, ReasonEncoding},
		{"dictionary", "GET", nav, 200, append([]string{"Content-Encoding", "dcz"}, html...), Unmarkable, ReasonEncoding},
		{"too many encodings", "GET", nav, 200, append([]string{"Content-Encoding", "gzip,gzip,gzip,gzip,gzip"}, html...), Unmarkable, ReasonEncoding},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := request("", tt.response...).Header
			if v, reason := Decide(request(tt.method, tt.request...), tt.status, h); v != tt.verdict || reason != tt.reason {
				t.Errorf("%v %q, want %v %q", v, reason, tt.verdict, tt.reason)
			}
		})
	}
}

func TestPrepareRequest(t *testing.T) {
	headers := []string{
		"Accept-Encoding", "gzip, br", "Range", "bytes=0-", "If-Range", "x", "If-None-Match", `"1"`,
		"If-Modified-Since", "x", "X-App", "1",
	}
	r := request("GET", append([]string{"Sec-Fetch-Dest", "document"}, headers...)...)
	PrepareRequest(r)
	if len(r.Header) != 3 || r.Header.Get("Accept-Encoding") != "identity" {
		t.Errorf("document: %v", r.Header)
	}
	r = request("GET", append([]string{"Sec-Fetch-Dest", "image"}, headers...)...)
	PrepareRequest(r)
	if len(r.Header) != 7 || r.Header.Get("Accept-Encoding") != "gzip, br" {
		t.Errorf("image: %v", r.Header)
	}
}

func BenchmarkDecide(b *testing.B) {
	r := request("GET", "Sec-Fetch-Dest", "document", "Accept", "text/html")
	h := request("", "Content-Type", "text/html; charset=utf-8", "Content-Length", "20000").Header
	b.ReportAllocs()
	for b.Loop() {
		if v, _ := Decide(r, 200, h); v != Mark {
			b.Fatal(v)
		}
	}
}

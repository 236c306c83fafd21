package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	auditsqlite "github.com/seed-240d5494/caddy-impersonate/internal/audit/sqlite"
)

// fieldsOf are the recorded fields of requests by their paths, once as many requests are there as wanted.
func (w *world) fieldsOf(want int) map[string]string {
	w.t.Helper()
	w.rows(want)
	r, err := auditsqlite.OpenReader(filepath.Join(w.dir, "audit.db"), nil)
	w.must(err)
	defer func() { _ = r.Close() }()
	found, err := r.Requests(context.Background(), audit.Filter{}, audit.Page{Limit: 1000})
	w.must(err)
	names := map[string]string{}
	for _, q := range found.Rows {
		names[q.Method+" "+q.Path] = q.Fields
	}
	return names
}

func withFields(w *world) { w.fields = true }

// echo is an app that says what it got.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, _ = fmt.Fprintf(w, "%d %v %s", r.ContentLength, r.TransferEncoding, body)
}

// TestFields: the names of what a write sends are in its row, and the app gets what it would have got.
func TestFields(t *testing.T) {
	w := newWorld(t, withFields, func(w *world) { w.options.Safe = nil })
	w.must(func() error {
		r := audit.NewRedactor()
		err := r.Patterns([]string{"badge"}, []string{`[^@/\s]+@[^@/\s]+\.[a-z]{2,}`})
		w.recorder.SetRedactor(r)
		return err
	}())
	w.proxy(echo)
	b := w.login("admin").begin("sam")
	const formType, jsonType = "application/x-www-form-urlencoded", "application/json"
	jwt := "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
	want := map[string]string{}
	for _, tt := range []struct{ method, path, kind, body, want string }{
		{"POST", "/form", formType, "title=hunter2&badge=1&password=hunter2&tag%5B%5D=a&tag%5B%5D=b", "title, badge, password, tag[]"},
		{"PUT", "/json", jsonType, `{"customer":{"name":"hunter2"},"items":[{"sku":"hunter2"}]}`, "customer.name, items[].sku"},
		{"PATCH", "/problem", "application/merge-patch+json", `{"note":null}`, "note"},
		{"POST", "/keys", jsonType, `{"roles":{"sam@example.com":"owner"},"` + jwt + `":1,"token=hunter2":2,"bell\u0007\u202e":3}`, "roles.[redacted], [redacted], bell\uFFFD\uFFFD"},
		{"POST", "/text", "text/plain", "title=hunter2", ""},
		{"POST", "/untyped", "", "title=hunter2", ""},
		{"POST", "/mistyped", formType, `{"password":"hunter2="}`, "…"},
		{"POST", "/broken", jsonType, `{"a":1,"b":`, "a, …"},
		{"POST", "/empty", formType, "", ""},
		{"GET", "/get", formType, "title=hunter2", ""},
		{"DELETE", "/delete", jsonType, `{"why":"hunter2"}`, "why"},
	} {
		var more []string
		if tt.kind != "" {
			more = []string{"Content-Type", tt.kind}
		}
		b.fetch(tt.method, tt.path, tt.body, more...).want(http.StatusOK, fmt.Sprintf("%d [] %s", len(tt.body), tt.body))
		want[tt.method+" "+tt.path] = tt.want
	}
	for _, tt := range []struct{ path, query, header, method, want string }{
		{"/override", "", "X-Http-Method-Override", "DELETE", "a"},
		{"/folded", "", "x_http_method_override", "DELETE", "a"},
		{"/same", "", "X-Http-Method-Override", "get", ""},
		{"/query", "?_method=put", "", "", "a"},
		{"/escaped", "?_%6dethod=put", "", "", "a"},
		{"/no-other", "?_method=get&payment_method=card", "", "", ""},
	} {
		headers := []string{"Content-Type", formType}
		if tt.header != "" {
			headers = append(headers, tt.header, tt.method)
		}
		b.fetch("GET", tt.path+tt.query, "a=1", headers...).want(http.StatusOK)
		want["GET "+tt.path] = tt.want
	}
	b.fetch("POST", "/upgrade", "a=1", "Content-Type", formType, "Upgrade", "h2c").want(http.StatusOK) // it has a body all the same
	want["POST /upgrade"] = "a"
	b.fetch("POST", "/gzip", "\x1f\x8b", "Content-Type", jsonType, "Content-Encoding", "gzip").want(http.StatusOK)
	want["POST /gzip"] = "…"

	// Chunked: nobody knows how long it is before its end.
	r := b.request("POST", "/chunked", "", "Content-Type", jsonType)
	r.Body, r.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader(`{"a":{"`), strings.NewReader(`b":1}}`))), -1
	res, err := b.c.Do(r)
	w.must(err)
	b.read(res).want(http.StatusOK, `-1 [chunked] {"a":{"b":1}}`)
	want["POST /chunked"] = "a.b"

	got := w.fieldsOf(len(want))
	for path, names := range want {
		if got[path] != names {
			t.Errorf("%s: %q, want %q", path, got[path], names)
		}
		if strings.Contains(got[path], "hunter2") {
			t.Errorf("%s: a value was recorded", path)
		}
	}
}

// TestFieldsWho: names are recorded of what is recorded, and only where the operator wants them; what was refused changed
// nothing.
func TestFieldsWho(t *testing.T) {
	w := newWorld(t, withFields, func(w *world) { w.all, w.options.Deny = true, []string{"/denied"} })
	w.proxy(echo)
	form := url.Values{"title": {"x"}}
	own := w.login("boss")
	own.post("/own", form).want(http.StatusOK)
	b := w.login("admin").begin("sam", "mode", "read_only")
	b.post("/readonly", form).want(http.StatusForbidden)
	b.post("/denied", form).want(http.StatusForbidden)
	got := w.fieldsOf(3)
	if got["POST /own"] != "title" || got["POST /readonly"] != "" || got["POST /denied"] != "" {
		t.Errorf("%q", got)
	}

	off := newWorld(t, func(w *world) { w.all = true })
	off.proxy(echo)
	off.login("boss").post("/own", form).want(http.StatusOK)
	off.login("admin").begin("sam").post("/other", form).want(http.StatusOK)
	if got := off.fieldsOf(2); got["POST /own"] != "" || got["POST /other"] != "" {
		t.Errorf("off, and %q", got)
	}
}

// TestFieldsStream: an upload of 20 MiB is passed on as it comes, and little of it is kept.
func TestFieldsStream(t *testing.T) {
	w := newWorld(t, withFields)
	first := make(chan struct{})
	const size = 20 << 20
	w.proxy(func(rw http.ResponseWriter, r *http.Request) {
		_, err := io.ReadFull(r.Body, make([]byte, 1))
		close(first)
		n, err2 := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(rw, n+1, err, err2)
	})
	b := w.login("admin").begin("sam")
	var head bytes.Buffer
	mw := multipart.NewWriter(&head)
	_ = mw.WriteField("title", "Leak")
	_, _ = mw.CreateFormFile("photo", "hunter2.jpg")
	var tail bytes.Buffer
	tw := multipart.NewWriter(&tail)
	_ = tw.SetBoundary(mw.Boundary())
	_ = tw.WriteField("note", "the last")
	_ = tw.Close()
	pr, pw := io.Pipe()
	go func() {
		_, _ = pw.Write(head.Bytes())
		<-first // the app has begun to read what is far from being sent
		block := bytes.Repeat([]byte("\r\n--photo\xff"), 32<<10/10)
		var before, during runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for sent := 0; sent < size; sent += len(block) {
			_, _ = pw.Write(block)
		}
		runtime.GC()
		runtime.ReadMemStats(&during)
		if grown := int64(during.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
			t.Errorf("%d bytes are kept of an upload", grown)
		}
		_, _ = pw.Write([]byte("\r\n"))
		_, _ = pw.Write(tail.Bytes())
		_ = pw.Close()
	}()
	r := b.request("POST", "/upload", "", "Content-Type", mw.FormDataContentType())
	r.Body, r.ContentLength = pr, -1
	res, err := b.c.Do(r)
	w.must(err)
	b.read(res).want(http.StatusOK, "<nil> <nil>")
	if got := w.fieldsOf(1)["POST /upload"]; got != "title, photo, note" {
		t.Errorf("fields %q", got)
	}
}

// TestFieldsUnread: an app that answers before it has the body, one that waits to be asked for it (Expect), and a browser
// that goes away, are served as ever; the mark tells that there may have been more.
func TestFieldsUnread(t *testing.T) {
	w := newWorld(t, withFields)
	got := make(chan struct{})
	w.serve(func(rw http.ResponseWriter, r *http.Request) error {
		switch r.URL.Path {
		case "/early":
			rw.WriteHeader(http.StatusConflict)
			return nil
		case "/gone":
			_, _ = io.ReadFull(r.Body, make([]byte, 4))
			close(got)
			_, err := io.Copy(io.Discard, r.Body)
			return err
		}
		_, err := io.Copy(rw, r.Body)
		return err
	})
	b := w.login("admin").begin("sam")
	b.post("/early", url.Values{"title": {"x"}}).want(http.StatusConflict)

	dial := func(head string) (net.Conn, *bufio.Reader) {
		t.Helper()
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.server.URL, "http://"))
		w.must(err)
		t.Cleanup(func() { _ = conn.Close() })
		_, err = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: %s\r\nCookie: impersonate=%s\r\nContent-Type: application/x-www-form-urlencoded\r\n%s\r\n",
			head, strings.TrimPrefix(w.server.URL, "http://"), b.raw, "Content-Length: 11\r\nExpect: 100-continue\r\n")
		w.must(err)
		return conn, bufio.NewReader(conn)
	}
	conn, rd := dial("POST /expect")
	if line, err := rd.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v", line, err)
	}
	_, _ = rd.ReadString('\n')
	_, _ = io.WriteString(conn, "title=a&b=c")
	res, err := http.ReadResponse(rd, nil)
	w.must(err)
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "title=a&b=c" {
		t.Errorf("%q, %v", body, err)
	}

	conn, rd = dial("POST /gone")
	_, _ = rd.ReadString('\n')
	_, _ = io.WriteString(conn, "a=1&")
	<-got
	_ = conn.Close()

	names := w.fieldsOf(3)
	if names["POST /early"] != "…" || names["POST /expect"] != "title, b" || names["POST /gone"] != "a, …" {
		t.Errorf("%q", names)
	}
}

// TestFieldsTunnel: what goes through a WebSocket has no fields.
func TestFieldsTunnel(t *testing.T) {
	w := newWorld(t, withFields)
	w.proxy(newStreamApp().ServeHTTP)
	b := w.login("admin").begin("sam")
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.server.URL, "http://"))
	w.must(err)
	_, err = fmt.Fprintf(conn, "GET /ws?stream=ws HTTP/1.1\r\nHost: %s\r\nCookie: impersonate=%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n",
		strings.TrimPrefix(w.server.URL, "http://"), b.raw)
	w.must(err)
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.Contains(line, "101") {
		t.Fatalf("%q, %v", line, err)
	}
	_, _ = io.WriteString(conn, "title=a&b=c")
	_ = conn.Close()
	if got := w.fieldsOf(1)["GET /ws"]; got != "" {
		t.Errorf("fields %q", got)
	}
}

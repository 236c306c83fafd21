package fields_test

import (
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit/fields"
)

// asIs records every name but those of secrets.
func asIs(name string) (string, bool) {
	return string([]rune(name)), strings.Contains(name, "s3cret")
}

// namesOf pushes a body in pieces of so many bytes.
func namesOf(t testing.TB, contentType, body string, piece int) string {
	t.Helper()
	n := fields.New(http.Header{"Content-Type": {contentType}}, -1, asIs)
	if n == nil {
		t.Fatalf("%s has no fields", contentType)
	}
	for rest := body; rest != ""; {
		k := min(piece, len(rest))
		n.Write([]byte(rest[:k]))
		rest = rest[k:]
	}
	n.End()
	return n.String()
}

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json; charset=utf-8"
	partType = "multipart/form-data; boundary=b"
)

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestNames(t *testing.T) {
	t.Parallel()
	many := make([]string, 500)
	for i := range many {
		many[i] = fmt.Sprintf("f%03d", i)
	}
	for name, tt := range map[string]struct{ kind, body, want string }{
		"form":                   {formType, "title=Leak&note=&customer%5Bname%5D=Jo&note=again&First+name=x", "title, note, customer[name], First name"},
		"form, as apps write":    {formType, " a[b]=1&&c=%zz&größe=3\r\n", "a[b], c, größe"},
		"form, nothing":          {formType, "", ""},
		"form, comma":            {formType, "a%2C+b=1&100%25=2", "a%2C b, 100%25"},
		"form, a flag":           {formType, "a=1&flag", "a, …"},
		"form, bad escape":       {formType, "a=1&%zz=2&b=3", "a, b, …"},
		"form, no name":          {formType, "=1&a=2", "a"},
		"form, is JSON":          {formType, `{"password":"hunter2=","a":"b&c=d"}`, "…"},
		"form, is a list":        {formType, `["hunter2=","a"]`, "…"},
		"form, is numbers":       {formType, `[1,2,3=]`, "…"},
		"form, is XML":           {formType, `<a b="hunter2">c=d</a>`, "…"},
		"form, is text":          {formType, "my pass is hunter2=x&a=b", "…"},
		"form, is one word":      {formType, "hunter2", "…"},
		"form, encoded JSON":     {formType, "%7B%22a%22%3A%22hunter2%22%7D=&b=1", "[redacted], b"},
		"form, a form in it":     {formType, "pass%3Dhunter2=&b=1", "[redacted], b"},
		"form, one field":        {formType, "customer[first_name]=Jo", "customer[first_name]"},
		"form, one is emptied":   {formType, "comment=", "comment"},
		"form, one in camels":    {formType, "dueDate=2026-03-01", "dueDate"},
		"form, of frameworks":    {formType, "__VIEWSTATE=%2FwEPDw%3D%3D&ctl00$Main$title=x&javax.faces.ViewState=-1%3A2&user[address][street]=y&a.b=z", "__VIEWSTATE, ctl00$Main$title, javax.faces.ViewState, user[address][street], a.b"},
		"form, of JSF":           {formType, "form%3Atable%3A0%3Aname=x", "form:table:0:name"},
		"form, of JSF, bare":     {formType, "form:table:0:name=x&&form:save=", "form:table:0:name, form:save"},
		"form, base64 first":     {formType, "Zm9vYmF=&b=1", "Zm9vYmF, b"},
		"form, is base64":        {formType, "aHVudGVyMiE=", "…"},
		"form, is more base64":   {formType, "aHVudGVyMg==\n", "…"},
		"form, is for URLs":      {formType, "aHVu-GVy_g==", "…"},
		"form, is base64 with +": {formType, "aHVu+GVy/g==", "…"},
		"form, is base64 lines":  {formType, "aHVudGVyMiE=\r\naHVudGVyMiE=\r\n", "…"},
		"form, is a file":        {formType, strings.Repeat("QUJD", 400) + "QUI=", "…"},
		"form, is base32":        {formType, "NB2W45DFOIZA====", "…"},
		"form, is signed":        {formType, "aHVudGVyMg==--0a1b2c", "…"},
		"form, is a URL":         {formType, "https://hunter2.example/a?b=c&d=hunter2#e", "d, …"},
		"form, is a path":        {formType, "/hunter2?b=c", "…"},
		"form, is a login":       {formType, "sam:hunter2=", "…"},
		"form, is an URN":        {formType, "urn:hunter2=x\n", "…"},
		"form, is bytes":         {formType, "\x82\xa4hunter2=x&b=1", "b, …"},
		"form, slash in a name":  {formType, "a=1&b/c=2&d%2Fe=3", "a, d/e, …"},
		"form, bare = in value":  {formType, "a=b=c&d==", "a, d"},
		"form, semicolons":       {formType, "a=1;b=2&c;d=3", "a, [redacted]"},
		"form, a secret name":    {formType, "a=1&s3cret42=x&s3cret43=y", "a, [redacted]"},
		"form, long name":        {formType, strings.Repeat("n", 300) + "=1&" + strings.Repeat("m", 1025) + "=2&b=3", strings.Repeat("n", 253) + "…, [too long], b"},
		"form, many names":       {formType, strings.Join(many, "=1&") + "=1", strings.Join(many[:100], ", ") + ", …"},
		"JSON":                   {jsonType, ` {"id":7,"customer":{"name":"Jo","tags":["a","b"],"none":{}},"items":[{"sku":"x","n":1},{"sku":"y","gift":true}],"empty":[],"id":8} `, "id, customer.name, customer.tags[], customer.none, items[].sku, items[].n, items[].gift, empty[]"},
		"JSON, a list":           {jsonType, `[{"a":1},[2,[3]],"x"]`, "[].a, [][], [][][], []"},
		"JSON, a scalar":         {jsonType, `"hunter2"`, ""},
		"JSON, nothing":          {jsonType, ``, ""},
		"JSON, an empty object":  {jsonType, `{}`, ""},
		"JSON, escapes":          {jsonType, `{"\u0061\"b":"c\\\"d","e.f":{"[0]":1},"":2,"a,b":3}`, `a"b, e%2Ef.%5B0%5D, a%2Cb`},
		"JSON, a secret key":     {jsonType, `{"users":{"s3cret42":{"on":true}}}`, "users.[redacted].on"},
		"JSON, cut off":          {jsonType, `{"a":1,"b":"hunter2`, "a, b, …"},
		"JSON, broken":           {jsonType, `{"a":1,b:"hunter2","c":3}`, "a, …"},
		"JSON, two":              {jsonType, `{"a":1}{"b":2}`, "a, …"},
		"JSON, lines":            {jsonType, "{\"a\":1}\n{\"b\":2}\n", "a, …"},
		"JSON, wrong end":        {jsonType, `{"a":[1}`, "a[], …"},
		"JSON, no colon":         {jsonType, `{"a" "b"}`, "…"},
		"JSON, bad escape":       {jsonType, `{"a":1,"\x":2}`, "a, …"},
		"JSON, deep":             {jsonType, `{"a":1,"b":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}`, "a, …"},
		"JSON, form inside":      {jsonType, `a=1&b=2`, "…"},
		"JSON, patch":            {"application/json-patch+json", `[{"op":"replace","path":"/a","value":"hunter2"}]`, "[].op, [].path, [].value"},
		"multipart":              {partType, crlf("pre\n--b\nContent-Disposition: form-data; name=\"title\"\n\nLeak\n--c\n--b\nContent-Disposition: form-data; name=\"photo\"; filename=\"hunter2.jpg\"\nContent-Type: image/jpeg\n\n\xff\xd8\r\r\n--bad\n--b-\r\n--b\nContent-Disposition: form-data; name=\"empty\"\n\n--b--\nepilogue"), "title, photo, empty"},
		"multipart, \\n":         {partType, "--b\nContent-Disposition: form-data; name=a\n\nx\r\n--b--\n", "a"},
		"multipart, nothing":     {partType, "--b--", ""},
		"multipart, cut off":     {partType, crlf("--b\nContent-Disposition: form-data; name=a\n\nhunter2\n--b"), "a, …"},
		"multipart, no name":     {partType, crlf("--b\nContent-Disposition: form-data\n\n1\n--b\nContent-Disposition: form-data; name=a\n\n\n--b--"), "a, …"},
		"multipart, two names":   {partType, crlf("--b\nContent-Disposition: form-data; name=a\nContent-Disposition: form-data; name=b\n\n1\n--b--"), "…"},
		"multipart, bad head":    {partType, crlf("--b\nhunter2\n\n1\n--b--"), "…"},
		"multipart, long head":   {partType, crlf("--b\nX: " + strings.Repeat("x", 9000) + "\nContent-Disposition: form-data; name=a\n\n1\n--b--"), "…"},
		"multipart, UTF-8":       {partType, crlf("--b\nContent-Disposition: form-data; name=\"größe\"\n\n1\n--b\nContent-Disposition: form-data; name*=UTF-8''%c3%a9t%c3%a9\n\n1\n--b--"), "größe, été"},
	} {
		whole := namesOf(t, tt.kind, tt.body, len(tt.body)+1)
		if whole != tt.want {
			t.Errorf("%s: %q, want %q", name, whole, tt.want)
		}
		for _, piece := range []int{1, 2, 3, 7} {
			if got := namesOf(t, tt.kind, tt.body, piece); got != whole {
				t.Errorf("%s in pieces of %d: %q, want %q", name, piece, got, whole)
			}
		}
		if strings.Contains(whole, "hunter2") {
			t.Errorf("%s: a value was recorded: %q", name, whole)
		}
	}
}

// TestBase64: what is nothing but that, in an alphabet of its own or one for URLs, is no name, whatever is in it.
func TestBase64(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 3000 {
		p := make([]byte, 8+i%60)
		for k := range p {
			p[k] = byte(random.Uint32())
		}
		for _, body := range []string{base64.StdEncoding.EncodeToString(p), base64.URLEncoding.EncodeToString(p), base32.StdEncoding.EncodeToString(p)} {
			if got := namesOf(t, formType, body, len(body)); got != fields.More {
				t.Errorf("%q has the names %q", body, got)
			}
		}
	}
}

func TestTypes(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"", "text/plain", "application/octet-stream", "application/x-ndjson", "multipart/related; boundary=b", "application/xml", "image/svg+xml"} {
		if n := fields.New(http.Header{"Content-Type": {kind}}, 5, asIs); n != nil {
			t.Errorf("%q has fields: %s", kind, n)
		}
	}
	if fields.New(http.Header{}, 5, asIs) != nil {
		t.Error("no type has fields")
	}
	for _, h := range []http.Header{
		{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}},
		{"Content-Type": {"application/json", "text/plain"}},
		{"Content-Type": {"multipart/form-data"}},
		{"Content-Type": {"multipart/form-data; boundary=\"a\r\nb\""}},
	} {
		n := fields.New(h, 7, asIs)
		n.Write([]byte(`{"a":1}`))
		if got := n.String(); got != fields.More {
			t.Errorf("%v: %q", h, got)
		}
	}
	for _, h := range []http.Header{
		{"Content-Type": {"application/JSON"}, "Content-Encoding": {"identity"}},
		{"Content-Type": {"application/json; charset"}},
		{"Content-Type": {"application/vnd.api+json; ext=x"}},
		{"Content-Type": {"text/json"}},
	} {
		n := fields.New(h, 7, asIs)
		n.Write([]byte(`{"a":1}`)) // that is all, by the length
		if got := n.String(); got != "a" {
			t.Errorf("%v: %q", h, got)
		}
	}
}

// TestBounds: however large a body is, what is kept and looked at of it is not.
func TestBounds(t *testing.T) {
	t.Parallel()
	value := strings.Repeat("v", 600<<10)
	if got := namesOf(t, formType, "a="+value+"&b="+value+"&c=1", 32<<10); got != "a, b, …" {
		t.Errorf("a form of more than 1 MiB: %q", got)
	}
	if got := namesOf(t, jsonType, `{"a":"`+value+`","b":"`+value+`","c":1}`, 32<<10); got != "a, b, …" {
		t.Errorf("JSON of more than 1 MiB: %q", got)
	}
	part := func(name, content string) string {
		return "--b\r\nContent-Disposition: form-data; name=" + name + "\r\n\r\n" + content + "\r\n"
	}
	if got := namesOf(t, partType, part("a", value)+part("b", value)+part("c", "1")+"--b--", 32<<10); got != "a, b, c" {
		t.Errorf("an upload of more than 1 MiB: %q", got)
	}
	if got := namesOf(t, partType, strings.Repeat(part("a", ""), 1001)+"--b--", 32<<10); got != "a, …" {
		t.Errorf("1001 parts: %q", got)
	}
	var different strings.Builder
	for i := range 300 {
		fmt.Fprintf(&different, "s3cret%d=1&", i)
	}
	if got := namesOf(t, formType, different.String()+"a=1", 100); got != "[redacted], …" {
		t.Errorf("300 names to be looked at: %q", got)
	}
	var spellings strings.Builder
	for i := range 300 {
		key := ""
		for bit := range 9 {
			key += []string{"a", `\u0061`}[i>>bit&1]
		}
		fmt.Fprintf(&spellings, `{"%s":1},`, key)
	}
	if got := namesOf(t, jsonType, "["+spellings.String()+"{}]", 100); got != "[].aaaaaaaaa, …" {
		t.Errorf("300 spellings of a key: %q", got)
	}
	long := strings.Repeat("k", 200)
	if got := namesOf(t, jsonType, strings.Repeat(`{"`+long+`":`, 30)+"1"+strings.Repeat("}", 30), 100); len(got) > 300 || !strings.HasSuffix(got, "…") {
		t.Errorf("a long path: %d bytes, %q", len(got), got)
	}
	for i := range 60 {
		body := fmt.Sprintf("%s=1&%s=2&%s=3&%s=4&%s=5&x=6&y=7", long+"1", long+"2", long+"3", long+"4", strings.Repeat("l", 155+i))
		if got := namesOf(t, formType, body, 100); len(got) > fields.MaxBytes {
			t.Errorf("%d bytes", len(got))
		}
	}
}

func TestUnread(t *testing.T) {
	t.Parallel()
	n := fields.New(http.Header{"Content-Type": {formType}}, 20, asIs)
	if got := n.String(); got != "…" {
		t.Errorf("an app that reads nothing: %q", got)
	}
	n.Write([]byte("a=1&b"))
	if got := n.String(); got != "a, …" {
		t.Errorf("an app that reads a little: %q", got)
	}
}

func BenchmarkForm1k(b *testing.B) {
	var s strings.Builder
	for i := range 20 {
		fmt.Fprintf(&s, "&customer%%5Bfield_%d%%5D=%s", i, strings.Repeat("v", 26))
	}
	bench(b, formType, s.String()[1:])
}

func BenchmarkJSON10k(b *testing.B) {
	var s strings.Builder
	s.WriteString(`{"id":17,"customer":{"name":"Jo","city":"Berlin"},"items":[`)
	for i := range 100 {
		fmt.Fprintf(&s, `%s{"sku":"A-%05d","quantity":%d,"note":"%s","gift":false}`, strings.Repeat(",", min(i, 1)), i, i%7, strings.Repeat("n", 44))
	}
	s.WriteString(`],"total":99.5}`)
	bench(b, jsonType, s.String())
}

func BenchmarkUpload1M(b *testing.B) {
	bench(b, partType, crlf("--b\nContent-Disposition: form-data; name=\"photo\"; filename=a.jpg\n\n"+strings.Repeat("\xff\xd8\r0123456789abcdef0123456789", 40<<10)+"\n--b--"))
}

func bench(b *testing.B, kind, body string) {
	h := http.Header{"Content-Type": {kind}}
	p := []byte(body)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		n := fields.New(h, int64(len(p)), asIs)
		for i := 0; i < len(p); i += 32 << 10 {
			n.Write(p[i:min(len(p), i+32<<10)])
		}
		if s := n.String(); s == "" || strings.HasSuffix(s, "…") {
			b.Fatal(s)
		}
	}
}

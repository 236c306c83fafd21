package scim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-240d5494/caddy-impersonate/internal/clock"
	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
	"github.com/seed-240d5494/caddy-impersonate/internal/state"
	"github.com/seed-240d5494/caddy-impersonate/internal/state/sqlite"
)

const token = "a-token-of-the-tests"

// provider is an identity provider that writes here, and the directory that hears of it.
type provider struct {
	t       *testing.T
	source  *Source
	dir     *directory.Directory
	clock   *clock.Manual
	headers http.Header
	last    *httptest.ResponseRecorder
}

func openStore(t *testing.T, file string) state.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), file, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func newProvider(t *testing.T, store state.Store) *provider {
	t.Helper()
	c := clock.NewManual(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	p := &provider{t: t, clock: c, source: NewService(store, c).Open(token), headers: http.Header{"Authorization": {"Bearer " + token}}}
	p.dir = directory.New(directory.Options{Clock: c, Sources: []directory.Source{p.source}})
	if err := p.dir.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// do sends a request and checks the status; the answer's body is returned.
func (p *provider) do(method, path, body string, status int) object {
	p.t.Helper()
	r := httptest.NewRequestWithContext(p.t.Context(), method, Root+path, strings.NewReader(body))
	r.Header = p.headers.Clone()
	if body != "" {
		r.Header.Set("Content-Type", "application/scim+json; charset=utf-8")
	}
	p.last = httptest.NewRecorder()
	p.source.ServeHTTP(p.last, r)
	if p.last.Code != status {
		p.t.Fatalf("%s %s: %d %s, want %d", method, path, p.last.Code, p.last.Body, status)
	}
	if p.last.Body.Len() == 0 {
		return nil
	}
	if ct := p.last.Header().Get("Content-Type"); ct != contentType {
		p.t.Errorf("%s %s: %s", method, path, ct)
	}
	var o object
	if err := json.Unmarshal(p.last.Body.Bytes(), &o); err != nil {
		p.t.Fatal(err)
	}
	return o
}

func (p *provider) user(username string) *directory.User {
	p.t.Helper()
	u, ok := p.dir.Lookup(username)
	if !ok {
		p.t.Fatalf("%s is not there", username)
	}
	return u
}

// What Okta sends, as in its guide to SCIM 2.0: it looks the name up, creates, reads, deactivates by a replace without
// a path, reactivates, and pushes groups.
func TestOkta(t *testing.T) {
	p := newProvider(t, openStore(t, filepath.Join(t.TempDir(), "state.db")))
	list := p.do("GET", "/Users?filter=userName%20eq%20%22test.user%40okta.local%22&startIndex=1&count=100", "", 200)
	if list["totalResults"] != 0.0 || list["Resources"] == nil {
		t.Errorf("nobody: %v", list)
	}
	created := p.do("POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"test.user@okta.local","name":{"givenName":"Test","familyName":"User"},
		"emails":[{"primary":true,"value":"test.user@okta.local","type":"work"}],"displayName":"Test User","locale":"en-US","externalId":"00ujl29u0le5T6Aj10h7","groups":[],"password":"1mz050nq","active":true}`, 201)
	id := created["id"].(string)
	if p.last.Header().Get("Location") != "https://example.com"+Root+"/Users/"+id || p.last.Header().Get("ETag") != `W/"1"` {
		t.Errorf("headers %v", p.last.Header())
	}
	if strings.Contains(p.last.Body.String(), "1mz050nq") {
		t.Error("the password is kept")
	}
	u := p.user("TEST.user@okta.local")
	if !u.Active || u.ID != id || u.Name != "Test User" || u.Email != "test.user@okta.local" || u.Attributes["locale"] != "en-US" || len(u.Groups) != 0 {
		t.Errorf("%+v", u)
	}
	p.do("POST", "/Users", `{"userName":"Test.User@okta.local"}`, 409)
	if got := p.do("GET", "/Users/"+id, "", 200); got["userName"] != "test.user@okta.local" {
		t.Error(got)
	}

	const setActive = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","value":{"active":%v}}]}`
	if got := p.do("PATCH", "/Users/"+id, fmt.Sprintf(setActive, false), 200); got["active"] != false {
		t.Error(got)
	}
	if p.user("test.user@okta.local").Active {
		t.Error("deactivated, and active")
	}
	p.do("PATCH", "/Users/"+id, fmt.Sprintf(setActive, true), 200)
	p.do("PUT", "/Users/"+id, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"id":"`+id+`","userName":"another.user@okta.local","name":{"givenName":"Another","familyName":"User"},"emails":[{"primary":true,"value":"another@okta.local"}],"active":true,"groups":[],"meta":{"resourceType":"User"}}`, 200)
	if u := p.user("another.user@okta.local"); u.Name != "Another User" || u.ID != id || !u.Active {
		t.Errorf("%+v", u)
	}
	if p.user("test.user@okta.local").Active {
		t.Error("the name left behind is active")
	}

	group := p.do("POST", "/Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Test SCIMv2","members":[]}`, 201)["id"].(string)
	p.do("PATCH", "/Groups/"+group, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"add","path":"members","value":[{"value":"`+id+`","display":"another.user@okta.local"}]}]}`, 200)
	if g := p.user("another.user@okta.local").Groups; !slices.Equal(g, []string{"Test SCIMv2"}) {
		t.Errorf("groups %v", g)
	}
	p.do("PATCH", "/Groups/"+group, `{"Operations":[{"op":"replace","value":{"id":"`+group+`","displayName":"Renamed"}}]}`, 200)
	if g := p.user("another.user@okta.local").Groups; !slices.Equal(g, []string{"Renamed"}) {
		t.Errorf("groups %v", g)
	}
	p.do("PATCH", "/Groups/"+group, `{"Operations":[{"op":"remove","path":"members[value eq \"`+id+`\"]"}]}`, 200)
	if g := p.user("another.user@okta.local").Groups; g == nil || len(g) != 0 {
		t.Errorf("groups %#v", g)
	}
	p.do("DELETE", "/Groups/"+group, "", 204)
	p.do("GET", "/Groups/"+group, "", 404)
}

// What Entra ID sends, as in its tutorial: active as text, Add and Replace in capitals, paths with filters, and members
// to remove as value.
func TestEntra(t *testing.T) {
	p := newProvider(t, openStore(t, filepath.Join(t.TempDir(), "state.db")))
	p.do("GET", `/Users?filter=externalId+eq+%220a21f0f2%22`, "", 200)
	id := p.do("POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],"externalId":"0a21f0f2","userName":"Test_User_ab6490ee",
		"active":"True","displayName":"Alice","emails":[{"primary":true,"type":"work","value":"old@example.com"}],"meta":{"resourceType":"User"},"roles":[],
		"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"north"}}`, 201)["id"].(string)
	if u := p.user("Test_User_ab6490ee"); !u.Active || u.Attributes["department"] != "north" || u.Attributes["externalId"] != "0a21f0f2" {
		t.Errorf("%+v", u)
	}
	p.do("PATCH", "/Users/"+id, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[
		{"op":"Replace","path":"emails[type eq \"work\"].value","value":"new@example.com"},
		{"op":"Add","path":"emails[type eq \"home\"].value","value":"home@example.com"},
		{"op":"Replace","path":"name.familyName","value":"Ng"},
		{"op":"Add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department","value":"south"},
		{"op":"Replace","value":{"displayName":"Alice Ng","name.givenName":"Alice","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:costCenter":"17"}}]}`, 200)
	u := p.user("test_user_ab6490ee")
	want := map[string]string{"department": "south", "costCenter": "17", "externalId": "0a21f0f2"}
	if d := cmp.Diff(want, u.Attributes); d != "" || u.Email != "new@example.com" || u.Name != "Alice Ng" {
		t.Errorf("%+v %s", u, d)
	}
	group := p.do("POST", "/Groups", `{"displayName":"support","externalId":"8aa1a0c0","schemas":["urn:ietf:params:scim:schemas:core:2.0:Group","http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"]}`, 201)["id"].(string)
	p.do("PATCH", "/Groups/"+group, `{"Operations":[{"op":"Add","path":"members","value":[{"$ref":null,"value":"`+id+`"}]}]}`, 200)
	if got := p.do("GET", "/Groups/"+group+"?excludedAttributes=members", "", 200); got["members"] != nil || got["displayName"] != "support" {
		t.Error(got)
	}
	if got := p.do("GET", `/Groups?excludedAttributes=members&filter=displayName+eq+%22SUPPORT%22`, "", 200); got["totalResults"] != 1.0 {
		t.Error(got)
	}
	if got := p.do("GET", `/Groups?filter=id+eq+%22`+group+`%22+and+members[value+eq+%22`+id+`%22]`, "", 200); got["totalResults"] != 1.0 {
		t.Error(got)
	}
	p.do("PATCH", "/Groups/"+group, `{"Operations":[{"op":"Remove","path":"members","value":[{"$ref":null,"value":"`+id+`"}]}]}`, 200)
	if g := p.user("test_user_ab6490ee").Groups; len(g) != 0 {
		t.Errorf("groups %v", g)
	}
	p.do("PATCH", "/Users/"+id, `{"Operations":[{"op":"Replace","path":"active","value":"False"}]}`, 200)
	if p.user("test_user_ab6490ee").Active {
		t.Error("deactivated, and active")
	}
	p.do("PATCH", "/Users/"+id, `{"Operations":[{"op":"Replace","path":"active","value":"perhaps"}]}`, 400)
	p.do("DELETE", "/Users/"+id, "", 204)
	p.do("DELETE", "/Users/"+id, "", 404)
	if p.user("test_user_ab6490ee").Active {
		t.Error("deleted, and active")
	}
	if err := p.dir.Refresh(t.Context()); err != nil || p.dir.Len() != 0 {
		t.Errorf("%d accounts, %v", p.dir.Len(), err)
	}
}

func TestRefusals(t *testing.T) {
	p := newProvider(t, openStore(t, filepath.Join(t.TempDir(), "state.db")))
	id := p.do("POST", "/Users", `{"userName":"sam"}`, 201)["id"].(string)
	for _, tt := range []struct {
		method, path, body string
		status             int
		scimType           string
	}{
		{"POST", "/Users", `{}`, 400, "invalidValue"},
		{"POST", "/Users", `{"userName":"a\nb"}`, 400, "invalidValue"},
		{"POST", "/Users", `{"userName":"b","active":1}`, 400, "invalidValue"},
		{"POST", "/Users", `{"userName":`, 400, "invalidSyntax"},
		{"POST", "/Users", `{"userName":"b"} {}`, 400, "invalidSyntax"},
		{"POST", "/Users", `[]`, 400, "invalidSyntax"},
		{"POST", "/Users", `{"userName":" SAM"}`, 400, "invalidValue"},
		{"POST", "/Users", `{"userName":"SAM"}`, 409, "uniqueness"},
		{"POST", "/Users", `{"userName":"b","x":"` + strings.Repeat("x", maxBody) + `"}`, 413, ""},
		{"POST", "/Users", `{"userName":"b","x":"` + strings.Repeat("x", state.MaxSealed) + `"}`, 413, ""},
		{"PATCH", "/Users/" + id, `{"Operations":[]}`, 400, "invalidSyntax"},
		{"PATCH", "/Users/" + id, `{"Operations":[{"op":"move","path":"a"}]}`, 400, "invalidSyntax"},
		{"PATCH", "/Users/" + id, `{"Operations":[{"op":"remove"}]}`, 400, "noTarget"},
		{"PATCH", "/Users/" + id, `{"Operations":[{"op":"remove","path":"userName"}]}`, 400, "mutability"},
		{"PATCH", "/Users/" + id, `{"Operations":[{"op":"replace","path":"userName","value":""}]}`, 400, "invalidValue"},
		{"PATCH", "/Users/" + id, `{"Operations":[{"op":"replace","path":"id","value":"x"}]}`, 400, "mutability"},
		{"PATCH", "/Users/" + id, `{"Operations":[{"op":"add","path":"groups","value":[{"value":"x"}]}]}`, 400, "mutability"},
		{"PATCH", "/Users/" + id, `{"Operations":[{"op":"replace","path":"emails[type sw \"work\"].value","value":"x"}]}`, 400, "noTarget"},
		{"PATCH", "/Users/" + id, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"Operations":[{"op":"replace","path":"title","value":"x"}]}`, 400, "invalidSyntax"},
		{"POST", "/Users", `{"userName":"b","schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"]}`, 400, "invalidSyntax"},
		{"POST", "/Users", `{"userName":"b","name":"B"}`, 400, "invalidValue"},
		{"POST", "/Users", `{"userName":"b","emails":"b@example.com"}`, 400, "invalidValue"},
		{"POST", "/Users", `{"userName":"b","emails":["b@example.com"]}`, 400, "invalidValue"},
		{"POST", "/Groups", `{"displayName":"g","members":[{"value":1}]}`, 400, "invalidValue"},
		{"PATCH", "/Users/" + id, `{"Operations":[{"op":"add","path":"emails[type eq","value":1}]}`, 400, "invalidPath"},
		{"PATCH", "/Users/nobody", `{"Operations":[{"op":"replace","path":"active","value":false}]}`, 404, ""},
		{"PUT", "/Groups/" + id, `{"displayName":"x"}`, 404, ""},
		{"GET", "/Users?filter=userName+is+%22a%22", "", 400, "invalidFilter"},
		{"GET", "/Users?filter=" + strings.Repeat("(", 30), "", 400, "invalidFilter"},
		{"GET", "/Users?filter=" + strings.Repeat("a", 5000), "", 400, "invalidFilter"},
		{"GET", "/Users?count=many", "", 400, "invalidValue"},
		{"GET", "/Users?filter=active+gt+true", "", 400, "invalidFilter"},
		{"GET", "/Users?filter=userName+sw+1", "", 400, "invalidFilter"},
		{"GET", "/Schemas?filter=id+pr", "", 403, ""},
		{"PUT", "/Users", `{"userName":"b"}`, 405, ""},
		{"POST", "/Users/" + id, `{"userName":"b"}`, 405, ""},
		{"DELETE", "/ServiceProviderConfig", "", 405, ""},
		{"POST", "/Bulk", `{}`, 501, ""},
		{"GET", "/Me", "", 501, ""},
		{"GET", "/Nothing", "", 404, ""},
	} {
		got := p.do(tt.method, tt.path, tt.body, tt.status)
		kind, _ := got["scimType"].(string)
		if kind != tt.scimType || got["status"] != fmt.Sprint(tt.status) {
			t.Errorf("%s %s %.60s: %v, want %s", tt.method, tt.path, tt.body, got, tt.scimType)
		}
	}
	// Nothing of what failed is there.
	if got := p.do("GET", "/Users/"+id, "", 200); got["userName"] != "sam" || p.last.Header().Get("ETag") != `W/"1"` {
		t.Error(got)
	}

	p.headers.Set("If-None-Match", `W/"1"`)
	p.do("GET", "/Users/"+id, "", 304)
	p.headers.Del("If-None-Match")
	p.headers.Set("If-Match", `W/"1"`)
	p.do("PATCH", "/Users/"+id, `{"Operations":[{"op":"replace","path":"title","value":"a"}]}`, 200)
	p.do("PATCH", "/Users/"+id, `{"Operations":[{"op":"replace","path":"title","value":"b"}]}`, 412)
	p.do("DELETE", "/Users/"+id, "", 412)
	p.headers.Del("If-Match")

	for _, header := range []string{"", "Bearer", "Bearer x", "Basic " + token, token} {
		p.headers.Set("Authorization", header)
		p.do("GET", "/Users", "", 401)
		p.do("GET", "/ServiceProviderConfig", "", 401)
		if p.last.Header().Get("WWW-Authenticate") == "" {
			t.Error("no WWW-Authenticate")
		}
	}
}

func TestListsAndFilters(t *testing.T) {
	p := newProvider(t, openStore(t, filepath.Join(t.TempDir(), "state.db")))
	for i := range 25 {
		p.do("POST", "/Users", fmt.Sprintf(`{"userName":"u%02d","active":%v,"title":"T%d","emails":[{"type":"work","value":"u%d@example.com"}]}`, i, i%2 == 0, i, i), 201)
	}
	seen := map[string]bool{}
	for start := 1; start <= 25; start += 10 {
		got := p.do("GET", fmt.Sprintf("/Users?startIndex=%d&count=10", start), "", 200)
		for _, r := range got["Resources"].([]any) {
			seen[r.(object)["userName"].(string)] = true
		}
		if got["totalResults"] != 25.0 || got["startIndex"] != float64(start) {
			t.Error(got["totalResults"], got["startIndex"])
		}
	}
	if len(seen) != 25 {
		t.Errorf("%d accounts in pages", len(seen))
	}
	if got := p.do("GET", "/Users?count=0", "", 200); got["totalResults"] != 25.0 || len(got["Resources"].([]any)) != 0 {
		t.Error(got)
	}
	for text, want := range map[string]int{
		`userName eq "U03"`:                  1,
		`userName ne "u03"`:                  24,
		`userName sw "u1"`:                   10,
		`userName co "0" and active eq true`: 7,
		`userName ew "5"`:                    2,
		`active eq false`:                    12,
		`not (active eq false)`:              13,

		`title eq "t1" or title eq "t2" and active eq false`:   1,
		`(title eq "t1" or title eq "t2") and active eq false`: 1,

		`nickName pr`:                      0,
		`title pr`:                         25,
		`emails.value eq "u3@example.com"`: 1,

		`emails[type eq "work" and value co "@"]`: 25,
		`emails[type eq "home"]`:                  0,
		`meta.created ge "2026-01-01T00:00:00Z"`:  25,

		`urn:ietf:params:scim:schemas:core:2.0:User:userName eq "u03"`: 1,
	} {
		got := p.do("GET", "/Users?filter="+strings.NewReplacer(" ", "%20", `"`, "%22", "[", "%5B", "]", "%5D", "&", "%26").Replace(text), "", 200)
		if got["totalResults"] != float64(want) {
			t.Errorf("%s: %v, want %d", text, got["totalResults"], want)
		}
	}
	for path := range described {
		if got := p.do("GET", path, "", 200); got["schemas"] == nil {
			t.Errorf("%s: %v", path, got)
		}
	}
}

// What was written is there after a restart, with groups in groups.
func TestDurable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.db")
	store := openStore(t, file)
	p := newProvider(t, store)
	id := p.do("POST", "/Users", `{"userName":"sam"}`, 201)["id"].(string)
	inner := p.do("POST", "/Groups", `{"displayName":"north","members":[{"value":"`+id+`"}]}`, 201)["id"].(string)
	p.do("POST", "/Groups", `{"displayName":"field","members":[{"value":"`+inner+`"}]}`, 201)
	if g := p.user("sam").Groups; !slices.Equal(g, []string{"field", "north"}) {
		t.Errorf("groups %v", g)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	p = newProvider(t, openStore(t, file))
	if u := p.user("sam"); u.ID != id || !slices.Equal(u.Groups, []string{"field", "north"}) {
		t.Errorf("%+v", u)
	}
	if got := p.do("GET", "/Users/"+id, "", 200); len(got["groups"].([]any)) != 1 {
		t.Error(got["groups"])
	}
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{`userName eq "a"`, `not (a pr) and b[c co "d"] or e.f gt 1`, `"`, `((`, `a[b[c pr]]`} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		if where, err := parseFilter(text); err == nil {
			where(object{"a": []any{object{"b": "c", "value": 1.0}}, "userName": "a"})
		}
		o := object{"a": []any{object{"b": "c"}}}
		_ = apply(userKind, o, []operation{{Op: "add", Path: text, Value: "x"}, {Op: "remove", Path: text}})
	})
}

// What PATCH does to complex and multi-valued attributes (RFC 7644, section 3.5.2).
func TestPatchParts(t *testing.T) {
	p := newProvider(t, openStore(t, filepath.Join(t.TempDir(), "state.db")))
	id := p.do("POST", "/Users", `{"userName":"sam","name":{"givenName":"Sam","familyName":"Reed"},"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"north","costCenter":"1"},
		"emails":[{"type":"work","value":"w@example.com","primary":true},{"type":"home","value":"h@example.com","display":"Home"}]}`, 201)["id"].(string)
	patch := func(op string) {
		t.Helper()
		p.do("PATCH", "/Users/"+id, `{"schemas":["`+patchSchema+`"],"Operations":[`+op+`]}`, 200)
	}
	want := func(attribute, want string) {
		t.Helper()
		got, err := json.Marshal(p.do("GET", "/Users/"+id, "", 200)[attribute])
		if err != nil || string(got) != want {
			t.Errorf("%s is %s, want %s", attribute, got, want)
		}
	}
	// What is not given of a complex attribute stays.
	patch(`{"op":"replace","path":"name","value":{"familyName":"Reid"}}`)
	want("name", `{"familyName":"Reid","givenName":"Sam"}`)
	patch(`{"op":"add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User","value":{"department":"south"}}`)
	want(enterpriseSchema, `{"costCenter":"1","department":"south"}`)
	// There is one primary value: the last that was made it.
	patch(`{"op":"replace","path":"emails[type eq \"home\"].primary","value":true}`)
	want("emails", `[{"primary":false,"type":"work","value":"w@example.com"},{"display":"Home","primary":true,"type":"home","value":"h@example.com"}]`)
	if u := p.user("sam"); u.Email != "h@example.com" {
		t.Error(u.Email)
	}
	patch(`{"op":"add","path":"emails","value":[{"type":"other","value":"o@example.com","primary":true}]}`)
	if u := p.user("sam"); u.Email != "o@example.com" {
		t.Error(u.Email)
	}
	// Values that a filter finds are replaced as a whole, added to in part.
	patch(`{"op":"replace","path":"emails[type eq \"home\"]","value":{"type":"home","value":"new@example.com"}}`)
	patch(`{"op":"add","path":"emails[type eq \"work\"]","value":{"display":"Work"}}`)
	want("emails", `[{"display":"Work","primary":false,"type":"work","value":"w@example.com"},{"type":"home","value":"new@example.com"},{"primary":true,"type":"other","value":"o@example.com"}]`)
	patch(`{"op":"remove","path":"emails[type eq \"work\" or type eq \"other\"]"}`)
	want("emails", `[{"type":"home","value":"new@example.com"}]`)
}

// Of a resource only what is asked for is sent (RFC 7644, section 3.9).
func TestSelectedAttributes(t *testing.T) {
	p := newProvider(t, openStore(t, filepath.Join(t.TempDir(), "state.db")))
	id := p.do("POST", "/Users", `{"userName":"sam","title":"T","name":{"givenName":"Sam","familyName":"Reed"},"emails":[{"type":"work","value":"w@example.com"}],
		"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"north","costCenter":"1"}}`, 201)["id"].(string)
	p.do("POST", "/Groups", `{"displayName":"north","members":[{"value":"`+id+`"}]}`, 201)
	for query, want := range map[string]string{
		"attributes=USERNAME":                            `{"id":"#","userName":"sam"}`,
		"attributes=name.familyName,emails.value":        `{"emails":[{"value":"w@example.com"}],"id":"#","name":{"familyName":"Reed"}}`,
		"attributes=name,name.familyName":                `{"id":"#","name":{"familyName":"Reed","givenName":"Sam"}}`,
		"attributes=nothing":                             `{"id":"#"}`,
		"attributes=groups.display":                      `{"groups":[{"display":"north"}],"id":"#"}`,
		"attributes=" + enterpriseSchema + ":department": `{"id":"#","` + enterpriseSchema + `":{"department":"north"}}`,
		"excludedAttributes=id,meta,groups,emails,title,name.givenName," + enterpriseSchema: `{"id":"#","name":{"familyName":"Reed"},"userName":"sam"}`,
	} {
		got := p.do("GET", "/Users/"+id+"?"+query, "", 200)
		if got["schemas"] == nil {
			t.Errorf("%s: no schemas", query)
		}
		delete(got, "schemas")
		b, err := json.Marshal(got)
		if want = strings.Replace(want, "#", id, 1); err != nil || string(b) != want {
			t.Errorf("%s: %s, want %s", query, b, want)
		}
	}
	if got := p.do("GET", "/Users/"+id, "", 200); got["title"] != "T" || got["name"].(object)["givenName"] != "Sam" {
		t.Error("the resource itself was changed")
	}
}

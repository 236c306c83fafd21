package scim

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/test/receivers"
)

// party is one of those that are compared.
type party struct {
	root string
	ids  map[string]string // by the name the steps know a resource by
}

// step is a request that is sent to both. Its path and body name resources as {sam}.
type step struct {
	name, method, path, body string
	makes                    string // the resource it makes
	header                   string // "Name: value"
}

const (
	asUser  = `"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"]`
	asGroup = `"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"]`
	asPatch = `"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"]`
	asBoth  = `"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"]`
)

func filtered(path, filter string) string { return path + "?filter=" + url.QueryEscape(filter) }

var steps = []step{
	{name: "config", method: "GET", path: "/ServiceProviderConfig"},
	{name: "types", method: "GET", path: "/ResourceTypes"},
	{name: "type", method: "GET", path: "/ResourceTypes/User"},
	{name: "no such type", method: "GET", path: "/ResourceTypes/Printer"},
	{name: "schema of users", method: "GET", path: "/Schemas/urn:ietf:params:scim:schemas:core:2.0:User"},
	{name: "schema of groups", method: "GET", path: "/Schemas/urn:ietf:params:scim:schemas:core:2.0:Group"},
	{name: "no such schema", method: "GET", path: "/Schemas/urn:nothing"},
	{name: "nobody yet", method: "GET", path: filtered("/Users", `userName eq "sam.reed"`)},

	{
		name: "create", method: "POST", path: "/Users", makes: "sam",
		body: `{` + asBoth + `,"userName":"sam.reed","externalId":"x1","name":{"givenName":"Sam","familyName":"Reed"},"displayName":"Sam Reed","title":"Fitter",
			"emails":[{"type":"work","value":"sam@example.com","primary":true},{"type":"home","value":"sam@example.org"}],"active":true,"` + enterpriseSchema + `":{"department":"north","costCenter":"17"}}`,
	},
	{name: "create another", method: "POST", path: "/Users", makes: "kim", body: `{` + asUser + `,"userName":"kim.lee","displayName":"Kim Lee","active":true}`},
	{name: "create inactive", method: "POST", path: "/Users", makes: "old", body: `{` + asUser + `,"userName":"old.hand","active":false}`},
	{name: "password", method: "POST", path: "/Users", makes: "pw", body: `{` + asUser + `,"userName":"pass.word","password":"s3cret"}`},
	{name: "taken", method: "POST", path: "/Users", body: `{` + asUser + `,"userName":"sam.reed"}`},
	{name: "taken, other case", method: "POST", path: "/Users", body: `{` + asUser + `,"userName":"SAM.Reed"}`},
	{name: "no userName", method: "POST", path: "/Users", body: `{` + asUser + `,"displayName":"Nobody"}`},
	{name: "no schemas", method: "POST", path: "/Users", makes: "plain", body: `{"userName":"no.schemas"}`},
	{name: "schema of another", method: "POST", path: "/Users", body: `{` + asGroup + `,"userName":"wrong.schema"}`},
	{name: "broken JSON", method: "POST", path: "/Users", body: `{"userName":`},
	{name: "a list", method: "POST", path: "/Users", body: `[]`},
	{name: "name as text", method: "POST", path: "/Users", body: `{` + asUser + `,"userName":"bad.name","name":"Bad"}`},
	{name: "emails as text", method: "POST", path: "/Users", body: `{` + asUser + `,"userName":"bad.mail","emails":"a@example.com"}`},
	{name: "active as text", method: "POST", path: "/Users", body: `{` + asUser + `,"userName":"bad.active","active":"perhaps"}`},
	{name: "active as True", method: "POST", path: "/Users", makes: "entra", body: `{` + asUser + `,"userName":"entra","active":"True"}`},

	{name: "and gone", method: "DELETE", path: "/Users/{entra}"},

	{name: "get", method: "GET", path: "/Users/{sam}"},
	{name: "get some attributes", method: "GET", path: "/Users/{sam}?attributes=userName,name.familyName"},
	{name: "get without", method: "GET", path: "/Users/{sam}?excludedAttributes=emails,name"},
	{name: "get extension", method: "GET", path: "/Users/{sam}?attributes=" + enterpriseSchema + ":department"},
	{name: "get nobody", method: "GET", path: "/Users/nobody"},
	{name: "get as group", method: "GET", path: "/Groups/{sam}"},

	{name: "eq", method: "GET", path: filtered("/Users", `userName eq "sam.reed"`)},
	{name: "eq, other case", method: "GET", path: filtered("/Users", `USERNAME Eq "SAM.REED"`)},
	{name: "externalId", method: "GET", path: filtered("/Users", `externalId eq "x1"`) + "&attributes=userName"},
	{name: "externalId, other case", method: "GET", path: filtered("/Users", `externalId eq "X1"`) + "&attributes=userName"},
	{name: "sw", method: "GET", path: filtered("/Users", `userName sw "ki"`) + "&attributes=userName"},
	{name: "ew", method: "GET", path: filtered("/Users", `userName ew "lee"`) + "&attributes=userName"},
	{name: "co", method: "GET", path: filtered("/Users", `displayName co "Ree"`) + "&attributes=userName"},
	{name: "pr", method: "GET", path: filtered("/Users", `title pr`) + "&attributes=userName"},
	{name: "ne", method: "GET", path: filtered("/Users", `active ne true`) + "&attributes=userName"},
	{name: "and", method: "GET", path: filtered("/Users", `active eq true and displayName pr`) + "&attributes=userName"},
	{name: "or", method: "GET", path: filtered("/Users", `userName eq "kim.lee" or title eq "Fitter"`) + "&attributes=userName"},
	{name: "not", method: "GET", path: filtered("/Users", `not (displayName pr)`) + "&attributes=userName"},
	{name: "brackets", method: "GET", path: filtered("/Users", `(userName sw "kim" or userName sw "sam") and title pr`) + "&attributes=userName"},
	{name: "part", method: "GET", path: filtered("/Users", `name.familyName eq "Reed"`) + "&attributes=userName"},
	{name: "emails.value", method: "GET", path: filtered("/Users", `emails.value eq "sam@example.org"`) + "&attributes=userName"},
	{name: "emails[]", method: "GET", path: filtered("/Users", `emails[type eq "work" and value co "@example.com"]`) + "&attributes=userName"},
	{name: "extension", method: "GET", path: filtered("/Users", enterpriseSchema+`:department eq "north"`) + "&attributes=userName"},
	{name: "no operator", method: "GET", path: filtered("/Users", `userName is "sam"`)},
	{name: "no value", method: "GET", path: filtered("/Users", `userName eq`)},
	{name: "unbalanced", method: "GET", path: filtered("/Users", `(userName eq "a"`)},
	{name: "boolean in order", method: "GET", path: filtered("/Users", `active gt true`)},

	{name: "first page", method: "GET", path: "/Users?startIndex=1&count=2&attributes=userName"},
	{name: "second page", method: "GET", path: "/Users?startIndex=3&count=2&attributes=userName"},
	{name: "past the end", method: "GET", path: "/Users?startIndex=100&count=2"},
	{name: "count 0", method: "GET", path: "/Users?count=0"},
	{name: "count -1", method: "GET", path: "/Users?count=-1"},
	{name: "startIndex 0", method: "GET", path: "/Users?startIndex=0&count=1&attributes=userName"},
	{name: "count of letters", method: "GET", path: "/Users?count=many"},

	{name: "replace a value", method: "PATCH", path: "/Users/{sam}", body: `{` + asPatch + `,"Operations":[{"op":"replace","path":"title","value":"Foreman"}]}`},
	{name: "replace without a path", method: "PATCH", path: "/Users/{sam}", body: `{` + asPatch + `,"Operations":[{"op":"replace","value":{"displayName":"S. Reed","title":"Fitter"}}]}`},
	{name: "replace a part", method: "PATCH", path: "/Users/{sam}", body: `{` + asPatch + `,"Operations":[{"op":"replace","path":"name.familyName","value":"Reid"}]}`},
	{name: "replace parts", method: "PATCH", path: "/Users/{sam}", body: `{` + asPatch + `,"Operations":[{"op":"replace","path":"name","value":{"givenName":"Samuel"}}]}`},
	{name: "add a part", method: "PATCH", path: "/Users/{sam}", body: `{` + asPatch + `,"Operations":[{"op":"add","path":"name.familyName","value":"Reid"}]}`},
	{name: "replace in a list", method: "PATCH", path: "/Users/{sam}", body: `{` + asPatch + `,"Operations":[{"op":"replace","path":"emails[type eq \"work\"].value","value":"s.reid@example.com"}]}`},
	{name: "replace in an extension", method: "PATCH", path: "/Users/{sam}", body: `{` + asPatch + `,"Operations":[{"op":"replace","path":"` + enterpriseSchema + `:department","value":"south"}]}`},
	{name: "replace nothing found", method: "PATCH", path: "/Users/{sam}", body: `{` + asPatch + `,"Operations":[{"op":"replace","path":"emails[type sw \"x\"].value","value":"x@example.com"}]}`},
	{name: "add to a list", method: "PATCH", path: "/Users/{sam}", body: `{` + asPatch + `,"Operations":[{"op":"add","path":"emails","value":[{"type":"other","value":"o@example.com"}]}]}`},
	{name: "add again", method: "PATCH", path: "/Users/{sam}", body: `{` + asPatch + `,"Operations":[{"op":"add","path":"emails","value":[{"type":"other","value":"o@example.com"}]}]}`},
	{name: "add a primary", method: "PATCH", path: "/Users/{sam}", body: `{` + asPatch + `,"Operations":[{"op":"add","path":"emails","value":[{"type":"new","value":"n@example.com","primary":true}]}]}`},
	{name: "remove a primary", method: "PATCH", path: "/Users/{sam}", body: `{` + asPatch + `,"Operations":[{"op":"remove","path":"emails[type eq \"new\"]"},{"op":"replace","path":"emails[type eq \"work\"].primary","value":true}]}`},
	{name: "remove from a list", method: "PATCH", path: "/Users/{sam}", body: `{` + asPatch + `,"Operations":[{"op":"remove","path":"emails[type eq \"other\"]"}]}`},
	{name: "remove", method: "PATCH", path: "/Users/{sam}", body: `{` + asPatch + `,"Operations":[{"op":"remove","path":"title"}]}`},
	{name: "several", method: "PATCH", path: "/Users/{sam}", body: `{` + asPatch + `,"Operations":[{"op":"add","path":"title","value":"A"},{"op":"replace","path":"title","value":"B"},{"op":"add","path":"locale","value":"de"}]}`},
	{name: "Replace, with a capital", method: "PATCH", path: "/Users/{sam}", body: `{` + asPatch + `,"Operations":[{"op":"Replace","path":"title","value":"C"}]}`},
	{name: "False, as text", method: "PATCH", path: "/Users/{sam}", body: `{` + asPatch + `,"Operations":[{"op":"Replace","path":"active","value":"False"}]}`},
	{name: "false", method: "PATCH", path: "/Users/{sam}", body: `{` + asPatch + `,"Operations":[{"op":"replace","path":"active","value":false}]}`},
	{name: "unchanged", method: "PATCH", path: "/Users/{sam}", body: `{` + asPatch + `,"Operations":[{"op":"replace","path":"active","value":false}]}`},
	{name: "the second fails", method: "PATCH", path: "/Users/{kim}", body: `{` + asPatch + `,"Operations":[{"op":"replace","path":"title","value":"X"},{"op":"remove","path":"userName"}]}`},
	{name: "and the first is undone", method: "GET", path: "/Users/{kim}"},
	{name: "remove what is required", method: "PATCH", path: "/Users/{kim}", body: `{` + asPatch + `,"Operations":[{"op":"remove","path":"userName"}]}`},
	{name: "replace the id", method: "PATCH", path: "/Users/{kim}", body: `{` + asPatch + `,"Operations":[{"op":"replace","path":"id","value":"mine"}]}`},
	{name: "remove without a path", method: "PATCH", path: "/Users/{kim}", body: `{` + asPatch + `,"Operations":[{"op":"remove"}]}`},
	{name: "no such op", method: "PATCH", path: "/Users/{kim}", body: `{` + asPatch + `,"Operations":[{"op":"move","path":"title","value":"x"}]}`},
	{name: "broken path", method: "PATCH", path: "/Users/{kim}", body: `{` + asPatch + `,"Operations":[{"op":"replace","path":"emails[type eq","value":"x"}]}`},
	{name: "no operations", method: "PATCH", path: "/Users/{kim}", body: `{` + asPatch + `,"Operations":[]}`},
	{name: "no PatchOp", method: "PATCH", path: "/Users/{kim}", body: `{` + asUser + `,"Operations":[{"op":"replace","path":"title","value":"x"}]}`},
	{name: "patch nobody", method: "PATCH", path: "/Users/nobody", body: `{` + asPatch + `,"Operations":[{"op":"replace","path":"title","value":"x"}]}`},
	{name: "patch to a taken name", method: "PATCH", path: "/Users/{kim}", body: `{` + asPatch + `,"Operations":[{"op":"replace","path":"userName","value":"sam.reed"}]}`},

	{name: "put", method: "PUT", path: "/Users/{kim}", body: `{` + asUser + `,"userName":"kim.lee","displayName":"K. Lee","active":true}`},
	{name: "put to a taken name", method: "PUT", path: "/Users/{kim}", body: `{` + asUser + `,"userName":"SAM.REED"}`},
	{name: "put another id", method: "PUT", path: "/Users/{kim}", body: `{` + asUser + `,"id":"mine","userName":"kim.lee"}`},
	{name: "put nobody", method: "PUT", path: "/Users/nobody", body: `{` + asUser + `,"userName":"no.body"}`},

	{name: "create a group", method: "POST", path: "/Groups", makes: "north", body: `{` + asGroup + `,"displayName":"North","members":[{"value":"{sam}","display":"Sam"}]}`},
	{name: "group's name is taken", method: "POST", path: "/Groups", body: `{` + asGroup + `,"displayName":"north"}`},
	{name: "add a member", method: "PATCH", path: "/Groups/{north}", body: `{` + asPatch + `,"Operations":[{"op":"add","path":"members","value":[{"value":"{kim}"}]}]}`},
	{name: "remove a member", method: "PATCH", path: "/Groups/{north}", body: `{` + asPatch + `,"Operations":[{"op":"remove","path":"members[value eq \"{sam}\"]"}]}`},
	{name: "remove a member by value", method: "PATCH", path: "/Groups/{north}", body: `{` + asPatch + `,"Operations":[{"op":"remove","path":"members","value":[{"value":"{kim}"}]}]}`},
	{name: "rename a group", method: "PATCH", path: "/Groups/{north}", body: `{` + asPatch + `,"Operations":[{"op":"replace","value":{"displayName":"Far North"}}]}`},
	{name: "find a group", method: "GET", path: filtered("/Groups", `displayName eq "Far North"`) + "&excludedAttributes=members"},
	{name: "find a group, other case", method: "GET", path: filtered("/Groups", `displayName eq "far north"`) + "&attributes=displayName"},

	{name: "delete", method: "DELETE", path: "/Users/{old}"},
	{name: "delete again", method: "DELETE", path: "/Users/{old}"},
	{name: "get the deleted", method: "GET", path: "/Users/{old}"},
	{name: "delete the group", method: "DELETE", path: "/Groups/{north}"},

	{name: "the version is this", method: "PATCH", path: "/Users/{sam}", header: "If-Match: *", body: `{` + asPatch + `,"Operations":[{"op":"replace","path":"title","value":"D"}]}`},
	{name: "the version is another", method: "PUT", path: "/Users/{kim}", header: `If-Match: W/"999"`, body: `{` + asUser + `,"userName":"kim.lee","title":"late"}`},
	{name: "delete another version", method: "DELETE", path: "/Users/{kim}", header: `If-Match: W/"999"`},
	{name: "bulk", method: "POST", path: "/Bulk", body: `{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[{"method":"DELETE","path":"/Users/{pw}"}]}`},
	{name: "me", method: "GET", path: "/Me"},
	{name: "search", method: "POST", path: "/Users/.search", body: `{"schemas":["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],"filter":"userName eq \"sam.reed\"","attributes":["userName"]}`},
	{name: "nowhere", method: "GET", path: "/Printers"},
	{name: "put on the list", method: "PUT", path: "/Users", body: `{}`},
	{name: "too large", method: "POST", path: "/Users", body: `{` + asUser + `,"userName":"large","title":"` + strings.Repeat("x", 3<<20) + `"}`},
	{name: "not the token", method: "GET", path: "/Users", header: "Authorization: Bearer wrong"},
	{name: "no token", method: "GET", path: "/ServiceProviderConfig", header: "Authorization:"},
}

// send sends a step, and returns what came as a list of facts: "status 200", "userName=sam.reed".
func (s *party) send(t *testing.T, one *step) []string {
	t.Helper()
	named := func(text string) string {
		for name, id := range s.ids {
			text = strings.ReplaceAll(text, "{"+name+"}", id)
		}
		return text
	}
	req, err := http.NewRequestWithContext(t.Context(), one.method, s.root+named(one.path), strings.NewReader(named(one.body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if one.body != "" {
		req.Header.Set("Content-Type", "application/scim+json")
	}
	if name, value, ok := strings.Cut(one.header, ":"); ok {
		req.Header.Set(name, strings.TrimSpace(value))
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	facts := []string{fmt.Sprint("status ", res.StatusCode)}
	for _, name := range []string{"Content-Type", "Location", "WWW-Authenticate", "Allow"} {
		if v, _, _ := strings.Cut(res.Header.Get(name), ";"); v != "" {
			facts = append(facts, name+": "+v)
		}
	}
	var got any
	if len(body) > 0 && json.Unmarshal(body, &got) != nil {
		facts = append(facts, "not JSON")
	}
	if one.makes != "" {
		o, _ := got.(map[string]any)
		if id, _ := o["id"].(string); id != "" {
			s.ids[one.makes] = id
		}
	}
	facts = flatten(facts, "", got)
	for i := range facts {
		facts[i] = s.plain(facts[i])
	}
	slices.Sort(facts)
	return slices.Compact(facts)
}

var (
	timeOfDay = regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:.]+Z`)
	versions  = regexp.MustCompile(`W/"\d+"`)
)

// plain is a fact without what has to differ: addresses, ids, times; and without the words of an error.
func (s *party) plain(fact string) string {
	fact = strings.ReplaceAll(fact, s.root, "ROOT")
	for name, id := range s.ids {
		fact = strings.ReplaceAll(fact, id, "{"+name+"}")
	}
	fact = versions.ReplaceAllString(timeOfDay.ReplaceAllString(fact, "TIME"), "VERSION")
	for _, free := range []string{"detail=", "WWW-Authenticate: "} {
		if strings.HasPrefix(fact, free) {
			return free + "…"
		}
	}
	return fact
}

// flatten writes a value as paths and values. Lists of resources and of values count as sets.
func flatten(to []string, path string, v any) []string {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			inner := name
			if path != "" {
				inner = path + "." + name
			}
			to = flatten(to, inner, v[name])
		}
	case []any:
		for _, e := range v {
			to = flatten(to, path+"[]", e)
		}
		if len(v) == 0 {
			to = append(to, path+"=[]")
		}
	case nil:
	default:
		to = append(to, fmt.Sprintf("%s=%v", path, v))
	}
	return to
}

// TestLikeAnother sends the same requests to the gateway and to another service provider. Where the two don't say
// the same, the reason is written down.
func TestLikeAnother(t *testing.T) {
	p := newProvider(t, openStore(t, filepath.Join(t.TempDir(), "state.db")))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Scheme = "http" // as the gateway says
		p.clock.Advance(time.Second)
		p.source.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	other := receivers.SCIM(t, receivers.Config{Token: token})
	ours := &party{root: server.URL + Root, ids: map[string]string{}}
	theirs := &party{root: "http://" + other.Addr() + "/scim/v2", ids: map[string]string{}}
	used := map[difference]bool{}
	names := map[string]bool{}
	for _, one := range steps {
		if names[one.name] {
			t.Errorf("two steps are called %s", one.name)
		}
		names[one.name] = true
		a, b := ours.send(t, &one), theirs.send(t, &one)
		for _, fact := range a {
			if !slices.Contains(b, fact) && !known(used, one.name, "+"+fact) {
				t.Errorf("%s: only ours: %s", one.name, fact)
			}
		}
		for _, fact := range b {
			if !slices.Contains(a, fact) && !known(used, one.name, "-"+fact) {
				t.Errorf("%s: only theirs: %s", one.name, fact)
			}
		}
	}
	for _, d := range differences {
		if !used[d] {
			t.Errorf("not so any more: %s: %s (%s)", d.step, d.fact, d.why)
		}
	}
}

// difference is a fact that only we (+) or only they (-) say, and why. A step or a fact may end in *; a whole that is another
// is the fact that says so, and then *.
type difference struct{ step, fact, why string }

func known(used map[difference]bool, step, fact string) bool {
	for _, d := range differences {
		if fits(d.step, step) && fits(d.fact, fact) {
			used[d] = true
			return true
		}
	}
	return false
}

func fits(pattern, s string) bool {
	if start, open := strings.CutSuffix(pattern, "*"); open {
		return strings.HasPrefix(s, start)
	}
	return pattern == s
}

// differences are all there are. RFC is RFC 7644, Schema RFC 7643.
var differences = []difference{
	{"*", "+Location: ROOT/*", "where a resource is, is said with it; RFC 3.3 asks for that when one is made"},
	{"*", "+meta.version=VERSION", "resources have versions here"},
	{"*", "+Resources[].meta.version=VERSION", "resources have versions here"},
	{"*", "+itemsPerPage=*", "how many there are on the page (RFC 3.4.2); they say how many were asked for"},
	{"*", "-itemsPerPage=*", "how many were asked for"},
	{"*", "+Resources[].schemas[]=urn:*", "with attributes= the schemas are there (Schema 3: always); they leave them out"},
	{"get some attributes", "+schemas[]=urn:*", "the same"},

	{"config", "+authenticationSchemes[].*", "in other words"},
	{"config", "-authenticationSchemes[].*", "in other words"},
	{"config", "+bulk.*", "no bulk here"},
	{"config", "-bulk.*", "no bulk here"},
	{"config", "+etag.supported=true", "versions here"},
	{"config", "-etag.supported=false", "versions here"},
	{"config", "+sort.supported=false", "no sorting here"},
	{"config", "-sort.supported=true", "no sorting here"},
	{"config", "+filter.maxResults=1000", "the largest page"},
	{"config", "-filter.maxResults=200", "the largest page"},
	{"types", "-Resources[].description=*", "optional"},
	{"type", "-description=*", "optional"},
	{"schema of *", "-*", "described is here what is read of an account, without explanations"},
	{"schema of *", "+attributes[].uniqueness=server", "there are no two groups of one name here"},
	{"broken JSON", "+scimType=invalidSyntax", "they leave it out"},
	{"broken JSON", "+Content-Type: application/scim+json", "an error is one of SCIM too (RFC 3.12)"},
	{"broken JSON", "-Content-Type: application/json", "the same"},
	{"too large", "+Content-Type: application/scim+json", "the same"},
	{"too large", "-Content-Type: application/json", "the same"},

	{"active as True", "+status 201", "Entra ID writes booleans so"},
	{"active as True", "-status 400", "they take no text for a boolean"},
	{"active as True", "*", "the same"},
	{"and gone", "+status 204", "they had not made it"},
	{"and gone", "*", "the same"},
	{"False, as text", "+status 200", "Entra ID writes booleans so"},
	{"False, as text", "*", "the same"},
	{"get extension", "+status 200", "urn:…:User:department is an attribute's name (RFC 3.10); they take the colon for a part of another"},
	{"get extension", "*", "the same"},
	{"extension", "+totalResults=1", "the same, in a filter"},
	{"extension", "*", "the same"},

	{"eq, other case", "+totalResults=1", "names are compared regardless of case (Schema 4.1.1: userName is not caseExact)"},
	{"eq, other case", "*", "the same"},
	{"find a group, other case", "+totalResults=1", "the same of groups"},
	{"find a group, other case", "*", "the same"},
	{"part", "+status 200", "they give 400 for a part of a complex attribute that somebody does not have"},
	{"part", "*", "the same"},
	{"emails.value", "+status 200", "the same"},
	{"emails.value", "*", "the same"},
	{"emails[]", "+status 200", "the same"},
	{"emails[]", "*", "the same"},
	{"no value", "+scimType=invalidFilter", "RFC 3.4.2.2: an operator but pr has a value; they find nobody"},
	{"no value", "*", "the same"},
	{"boolean in order", "+scimType=invalidFilter", "RFC 3.4.2.2: booleans have no order; they find nobody"},
	{"boolean in order", "*", "the same"},
	{"past the end", "+Resources=[]", "there is nobody there; they give the last page"},
	{"past the end", "*", "the same"},
	{"count of letters", "+scimType=invalidValue", "they take it for none"},
	{"count of letters", "*", "the same"},

	{"replace parts", "+name.familyName=Reid", "RFC 3.5.2.3: parts that are not given stay; they drop them"},
	{"add a primary", "+status 200", "RFC 3.5.2: another that was primary is so no longer; they refuse"},
	{"add a primary", "*", "the same"},
	{"remove a primary", "+status 200", "they had not added it, so nothing changes, which they say by 204"},
	{"remove a primary", "*", "the same"},
	{"unchanged", "+status 200", "with the resource, as any change; they say 204 (RFC 3.5.2: either)"},
	{"unchanged", "*", "the same"},
	{"the second fails", "+scimType=mutability", "RFC 3.5.2.2: what is required is removed"},
	{"the second fails", "-scimType=invalidValue", "the same"},
	{"remove what is required", "+scimType=mutability", "the same"},
	{"remove what is required", "-scimType=invalidValue", "the same"},
	{"no operations", "+scimType=invalidSyntax", "the message is not as it has to be; either word says so"},
	{"no operations", "-scimType=invalidValue", "the same"},

	{"the version is another", "+status 412", "RFC 3.14; they have no versions"},
	{"the version is another", "*", "the same"},
	{"delete another version", "+status 412", "the same"},
	{"delete another version", "*", "the same"},
	{"bulk", "+status 501", "not supported, and config says so (RFC 3.12)"},
	{"bulk", "*", "the same"},
	{"me", "+status 501", "RFC 3.11: not supported; they: the client has no account"},
	{"me", "*", "the same"},
	{"search", "+status 501", "optional (RFC 3.4.3), and not supported"},
	{"search", "*", "the same"},
	{"put on the list", "+Allow: GET, POST", "there is such an address, but not by that method"},
	{"put on the list", "*", "the same"},
	{"not the token", "+WWW-Authenticate: …", "RFC 9110 15.5.2: a 401 says how"},
	{"no token", "+WWW-Authenticate: …", "the same"},
}

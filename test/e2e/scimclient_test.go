package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-github/v74/github"
)

const scimToken = "e2e-scim-token-e2e-scim-token"

// provisioned is where a client of GitHub's writes accounts: at addresses of its own, for which a proxy stands.
type provisioned struct{ origin string }

func (p provisioned) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for _, theirs := range []string{"/scim/v2/organizations/example", "/scim/v2/enterprises/example"} {
		if rest, ok := strings.CutPrefix(r.URL.Path, theirs); ok {
			r.URL.Path = "/.impersonate/scim/v2" + rest
		}
	}
	return http.DefaultTransport.RoundTrip(r)
}

// TestSCIMByAClient: a client that others wrote, and use to provision accounts elsewhere, finds its way: it creates, looks up,
// pages, changes, is told of conflicts, and deletes; and whoever it deactivates is out.
func TestSCIMByAClient(t *testing.T) {
	p := newParts(t)
	p.App = startMirror(t)
	p.More = "directory scim {\n\t\t\tbearer " + scimToken + "\n\t\t}"
	startGateway(t, p)
	ctx := t.Context()
	clientWith := func(token string) *github.Client {
		t.Helper()
		client := github.NewClient(&http.Client{Transport: provisioned{p.origin()}}).WithAuthToken(token)
		base, err := client.BaseURL.Parse(p.origin() + "/")
		if err != nil {
			t.Fatal(err)
		}
		client.BaseURL = base
		return client
	}
	client := clientWith(scimToken)
	const org = "example"
	status := func(what string, res *github.Response, err error, want int) {
		t.Helper()
		if res == nil || res.StatusCode != want || (err != nil) != (want >= 300) {
			t.Fatalf("%s: %v, %v, want %d", what, res, err, want)
		}
	}
	ids := map[string]string{}
	for n := range 5 {
		name := fmt.Sprint("worker", n)
		mail := name + "@example.test"
		user, res, err := client.SCIM.ProvisionAndInviteSCIMUser(ctx, org, &github.SCIMUserAttributes{
			UserName: name, DisplayName: github.Ptr("Worker " + fmt.Sprint(n)), Name: github.SCIMUserName{GivenName: "Worker", FamilyName: fmt.Sprint(n)},
			Emails: []*github.SCIMUserEmail{{Value: mail, Primary: github.Ptr(true), Type: github.Ptr("work")}}, ExternalID: github.Ptr("x-" + name), Active: github.Ptr(true),
		})
		status("creating "+name, res, err, http.StatusCreated)
		if user.UserName != name || user.ID == nil || user.Meta.GetLocation() != p.origin()+"/.impersonate/scim/v2/Users/"+*user.ID || user.Meta.Created == nil {
			t.Fatalf("%+v, %+v", user, user.Meta)
		}
		ids[name] = *user.ID
	}
	_, res, err := client.SCIM.ProvisionAndInviteSCIMUser(ctx, org, &github.SCIMUserAttributes{UserName: "Worker0"})
	status("a name that is taken", res, err, http.StatusConflict)

	for _, filter := range []string{`userName eq "worker3"`, `emails eq "worker3@example.test"`, `externalId eq "x-worker3"`, `id eq "` + ids["worker3"] + `"`} {
		found, res, err := client.SCIM.ListSCIMProvisionedIdentities(ctx, org, &github.ListSCIMProvisionedIdentitiesOptions{Filter: &filter})
		status(filter, res, err, http.StatusOK)
		if *found.TotalResults != 1 || *found.Resources[0].ID != ids["worker3"] {
			t.Errorf("%s: %+v", filter, found)
		}
	}
	_, res, err = client.SCIM.ListSCIMProvisionedIdentities(ctx, org, &github.ListSCIMProvisionedIdentitiesOptions{Filter: github.Ptr("userName is worker3")})
	status("no such operator", res, err, http.StatusBadRequest)
	var paged []string
	for start := 1; ; {
		page, res, err := client.SCIM.ListSCIMProvisionedIdentities(ctx, org, &github.ListSCIMProvisionedIdentitiesOptions{StartIndex: &start, Count: github.Ptr(2)})
		status("a page", res, err, http.StatusOK)
		for _, u := range page.Resources {
			paged = append(paged, u.UserName)
		}
		if start += *page.ItemsPerPage; *page.ItemsPerPage == 0 || start > *page.TotalResults {
			break
		}
	}
	if want := []string{"worker0", "worker1", "worker2", "worker3", "worker4"}; !slices.Equal(paged, want) {
		t.Errorf("pages have %v", paged)
	}

	// Its methods to change things send no body, so what they would is sent by its means.
	send := func(method, path string, body any) (*github.Response, error) {
		t.Helper()
		req, err := client.NewRequest(method, "scim/v2/organizations/example/"+path, body)
		if err != nil {
			t.Fatal(err)
		}
		return client.Do(ctx, req, nil)
	}
	res, err = client.SCIM.UpdateAttributeForSCIMUser(ctx, org, ids["worker1"], &github.UpdateAttributeForSCIMUserOptions{})
	status("a change without a body", res, err, http.StatusBadRequest)
	patch := func(path, value string) *github.UpdateAttributeForSCIMUserOptions {
		return &github.UpdateAttributeForSCIMUserOptions{
			Schemas:    []string{"urn:ietf:params:scim:api:messages:2.0:PatchOp"},
			Operations: github.UpdateAttributeForSCIMUserOperations{Op: "replace", Path: github.Ptr(path), Value: json.RawMessage(value)},
		}
	}
	res, err = send("PATCH", "Users/"+ids["worker1"], patch("active", "false"))
	status("one operation that is no list", res, err, http.StatusBadRequest)
	operations := func(o *github.UpdateAttributeForSCIMUserOptions) any {
		return map[string]any{"schemas": o.Schemas, "Operations": []any{o.Operations}}
	}
	res, err = send("PATCH", "Users/"+ids["worker1"], operations(patch("displayName", `"Sam Reed"`)))
	status("a change", res, err, http.StatusOK)
	res, err = send("PUT", "Users/"+ids["worker2"], &github.SCIMUserAttributes{UserName: "worker2", DisplayName: github.Ptr("Second"), Active: github.Ptr(true)})
	status("a replacement", res, err, http.StatusOK)
	user, res, err := client.SCIM.GetSCIMProvisioningInfoForUser(ctx, org, ids["worker2"])
	status("what it has become", res, err, http.StatusOK)
	if *user.DisplayName != "Second" || user.ExternalID != nil {
		t.Errorf("%+v", user)
	}

	// A group makes worker1 somebody Alice may become; deactivated, she is herself again with the next request.
	res, err = send("POST", "Groups", &github.SCIMGroupAttributes{DisplayName: github.Ptr("fieldworkers"), Members: []*github.SCIMDisplayReference{{Value: ids["worker1"]}}})
	status("a group", res, err, http.StatusCreated)
	groups, res, err := client.SCIM.ListSCIMProvisionedGroupsForEnterprise(ctx, org, &github.ListSCIMProvisionedGroupsForEnterpriseOptions{Filter: github.Ptr(`displayName eq "fieldworkers"`), ExcludedAttributes: github.Ptr("members")})
	status("groups", res, err, http.StatusOK)
	if *groups.TotalResults != 1 || len(groups.Resources[0].Members) != 0 {
		t.Errorf("%+v", groups.Resources)
	}
	alice := logIn(t, p.origin(), "alice")
	alice.become("worker1")
	if who := told(t, alice); who != "worker1" {
		t.Fatalf("the app is told %s", who)
	}
	res, err = send("PATCH", "Users/"+ids["worker1"], operations(patch("active", "false")))
	status("deactivating", res, err, http.StatusOK)
	if who := told(t, alice); who != "alice" {
		t.Errorf("deactivated, and the app is told %s", who)
	}

	res, err = client.SCIM.DeleteSCIMUserFromOrg(ctx, org, ids["worker4"])
	status("deleting", res, err, http.StatusNoContent)
	_, res, err = client.SCIM.GetSCIMProvisioningInfoForUser(ctx, org, ids["worker4"])
	status("the deleted", res, err, http.StatusNotFound)
	_, res, err = clientWith("another").SCIM.GetSCIMProvisioningInfoForUser(ctx, org, ids["worker1"])
	status("another token", res, err, http.StatusUnauthorized)
}

// told is whom the app is told a person is.
func told(t *testing.T, p *person) string {
	t.Helper()
	res, body := p.do(http.MethodGet, "/echo", "")
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	return parseSeen(t, body).Header.Get("Remote-User")
}

package demo

import (
	"github.com/seed-240d5494/caddy-impersonate/internal/demo/fieldbook"
	"github.com/seed-240d5494/caddy-impersonate/internal/demo/provider"
)

// Password is every demo account's.
const Password = "demo"

// account is a person of the demo: known to the provider, to the directory file, and to the app.
type account struct {
	id, username, name string
	groups             []string
	role               string // at the app
	team               string
	inactive           bool
	about              string // for the list of whom to log in as
}

var accounts = []account{
	{"u-100", "owner", "Olivia Hart", []string{"account-owners", "staff"}, "manager", "head office", false, "account owner: may impersonate staff and field workers, and end anyone's impersonation"},
	{"u-101", "admin", "Alice Ng", []string{"admins", "staff"}, "manager", "head office", false, "admin: may impersonate field workers and office staff"},
	{"u-102", "supervisor", "Priya Nair", []string{"supervisors", "staff"}, "worker", "north", false, "delegated supervisor: may look at the accounts of the northern team"},
	{"u-103", "sam", "Sam Reed", []string{"fieldworkers", "team-north"}, "worker", "north", false, "field worker, with a booking that won't complete"},
	{"u-104", "office", "Tom Becker", []string{"office", "staff"}, "office", "head office", false, "office: plans bookings, may impersonate nobody"},
	{"u-105", "former", "Frank Otto", []string{"fieldworkers", "team-north"}, "worker", "north", true, "deactivated field worker: can't log in, can't be impersonated"},
	{"u-106", "auditor", "Mei Tan", []string{"auditors"}, "office", "head office", false, "auditor: may impersonate nobody, sees who impersonates whom"},
}

// others fill the lists; they have no login.
var others = []account{
	{id: "u-110", username: "jose", name: "José Márquez", groups: []string{"fieldworkers", "team-south"}, role: "worker", team: "south"},
	{id: "u-111", username: "yuki", name: "佐藤 ゆき", groups: []string{"fieldworkers", "team-south"}, role: "worker", team: "south"},
	{id: "u-112", username: "amira", name: "Amira Haddad", groups: []string{"fieldworkers", "team-north"}, role: "worker", team: "north"},
	{id: "u-113", username: "lena", name: "Lena Vogel", groups: []string{"office", "staff"}, role: "office", team: "head office"},
	{id: "u-114", username: "dmitri", name: "Дмитрий Орлов", groups: []string{"fieldworkers", "team-south"}, role: "worker", team: "south"},
}

func (a *account) email() string { return a.username + "@fieldbook.example" }

func providerAccounts() []provider.Account {
	var list []provider.Account
	for _, a := range accounts {
		list = append(list, provider.Account{Subject: a.id, Username: a.username, Password: Password, Name: a.name, Email: a.email(), Groups: a.groups})
	}
	return list
}

func appUsers() []fieldbook.User {
	var list []fieldbook.User
	for _, a := range append(append([]account(nil), accounts...), others...) {
		list = append(list, fieldbook.User{Username: a.username, Name: a.name, Role: a.role, Team: a.team})
	}
	return list
}

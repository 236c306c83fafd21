// Package e2e tests the gateway as its users meet it: the real binary between a real identity provider, a real app, a
// real browser and a real database. It is a module of its own, so that whoever builds the gateway does not carry what
// only these tests need. Nothing here is skipped: a part that is missing fails the test.
package e2e

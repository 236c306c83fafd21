// Package matrix runs apps that nobody here wrote behind the gateway, each as docs/apps.md shows it, in a real browser:
// one becomes another account in them, works there and comes back. It is a module of its own, so that the browser's
// driver is no dependency of the gateway.
package matrix

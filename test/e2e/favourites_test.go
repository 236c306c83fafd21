package e2e

import "testing"

// TestFavouritesInABrowser: a star is pressed without leaving the page, or with the page where there is no script; whoever
// has one is a press away.
func TestFavouritesInABrowser(t *testing.T) {
	s := newStage(t, 4)
	b := newBrowser(t, "favourites")
	b.wear(s.roles["admin"])
	star := func(username string) string { return css(`.person button.star[value=` + username + `]`) }
	tile := css(`#quick section[aria-labelledby=h-f] button.tile[value=jose]`)
	home := s.address("/.impersonate/")
	b.open(home)
	b.press(star("jose"))
	b.wait("his star is set, and he is among the favourites", star("jose")+`.getAttribute("aria-pressed") === "true" && `+tile+` !== null && document.activeElement === `+star("jose"))
	b.open(home)
	b.press(tile)
	b.wait("she is asked", css("#ask")+`.open && `+css("#ask-title")+`.textContent === "Log in as José Márquez?"`)
	b.open(home)
	b.fill(css("#q"), "sam")
	b.wait("they are out of the way of a search", css("#quick")+`.hidden && `+css("#count")+`.textContent.startsWith("1 person")`)
	b.open(home)
	b.press(css(`#quick section[aria-labelledby=h-f] button.star[value=jose]`))
	b.wait("he is none any more", tile+` === null && `+star("jose")+`.getAttribute("aria-pressed") === "false"`)

	b.noScript()
	b.open(home)
	b.pressAway(star("jose"))
	b.wait("he is one again", tile+` !== null && location.pathname === "/.impersonate/"`)
	b.pressAway(star("jose"))
	b.wait("and again none", tile+` === null`)
}

package caddymodule

// unbuilt are the words of the grammar that this version does not do, each after the one that leads to it; * is any.
// They are refused: whoever writes `require ticket` must not get impersonations without. When one is built, its row
// goes.
//
// A guest module registered under such a name (state, directory, sink) is taken instead.
var unbuilt = []string{
	"state postgres",
}

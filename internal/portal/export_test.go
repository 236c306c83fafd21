package portal

// Routes are the portal's addresses that have no id in them, with their methods.
func Routes() map[string][]string {
	p := &portal{}
	p.register()
	out := map[string][]string{}
	for path, m := range p.routes {
		for method := range m {
			out[path] = append(out[path], method)
		}
	}
	return out
}

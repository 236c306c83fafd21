package ldap

import (
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// groups are those that name their members.
type groups struct {
	byMember map[string][]*group // by folded DN, or by uid in lower case
}

type group struct {
	name, dn string
}

// groups reads them; nil when none are asked for.
func (s *Source) groups(conn *ldap.Conn) (*groups, error) {
	if s.GroupBase == "" {
		return nil, nil
	}
	g := &groups{byMember: map[string][]*group{}}
	members := []string{"member", "uniqueMember", "memberUid"}
	err := s.each(conn, "groups", s.GroupBase, s.GroupFilter, append([]string{"cn"}, members...), func(e *ldap.Entry) error {
		if err := whole(e); err != nil {
			return err
		}
		one := &group{name: value(e, "cn"), dn: foldDN(e.DN)}
		if one.name == "" {
			one.name = nameOf(e.DN)
		}
		for _, attribute := range members {
			for _, m := range e.GetEqualFoldAttributeValues(attribute) {
				key := strings.ToLower(m)
				if attribute != "memberUid" {
					key = foldDN(m)
				}
				g.byMember[key] = append(g.byMember[key], one)
			}
		}
		return nil
	})
	return g, err
}

// of lists the names of the groups that someone is in, also by way of other groups.
func (g *groups) of(dn, uid string) []string {
	var names []string
	seen := map[*group]bool{}
	open := append([]string{dn}, uid)
	for len(open) > 0 {
		key := open[0]
		open = open[1:]
		if key == "" {
			continue
		}
		for _, one := range g.byMember[key] {
			if !seen[one] {
				seen[one] = true
				names = append(names, one.name)
				open = append(open, one.dn)
			}
		}
	}
	return names
}

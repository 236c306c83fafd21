package policy

import (
	"slices"
	"strings"

	"github.com/seed-240d5494/caddy-impersonate/internal/identity"
)

// Supervising: a policy whose targets are those of the actor's own groups.

// supervises tells whether m selects by the actor at all.
func (m *Match) supervises() bool { return len(m.OwnGroups) > 0 || m.GroupsIn != "" }

// reaches tells whether a group is one of those that m gives the actor.
func (m *Match) reaches(actor *identity.Identity, group string) bool {
	for _, pattern := range m.OwnGroups {
		if fitsPattern(pattern, group) && slices.Contains(actor.Groups, group) {
			return true
		}
	}
	if m.GroupsIn != "" {
		for g := range strings.SplitSeq(actor.Attributes[m.GroupsIn], ",") {
			if g = strings.TrimSpace(g); g != "" && g == group {
				return true
			}
		}
	}
	return false
}

// given are the groups that m gives the actor: those of theirs that fit, and those their attribute names.
func (m *Match) given(actor *identity.Identity) []string {
	var groups []string
	for _, g := range actor.Groups {
		if slices.ContainsFunc(m.OwnGroups, func(pattern string) bool { return fitsPattern(pattern, g) }) {
			groups = append(groups, g)
		}
	}
	if m.GroupsIn != "" {
		for g := range strings.SplitSeq(actor.Attributes[m.GroupsIn], ",") {
			if g = strings.TrimSpace(g); g != "" {
				groups = append(groups, g)
			}
		}
	}
	return groups
}

// fitsPattern tells whether a whole name fits a pattern, in which * stands for anything.
func fitsPattern(pattern, name string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, first)
	if !ok {
		return false
	}
	for {
		var part string
		if part, rest, star = strings.Cut(rest, "*"); !star {
			return strings.HasSuffix(name, part)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name = name[i+len(part):]
	}
}

// selects tells whether the policy's target is somebody: as the bits of the rules' names say, or by the actor's groups.
func (p *compiled) selects(target bits, actor, who *identity.Identity) bool {
	if target.meets(p.target) {
		return true
	}
	return p.by != nil && slices.ContainsFunc(who.Groups, func(g string) bool { return p.by.reaches(actor, g) })
}

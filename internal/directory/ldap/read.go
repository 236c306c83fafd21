package ldap

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/seed-240d5494/caddy-impersonate/internal/directory"
)

// signs are the attributes that say that an account is not active.
var signs = []string{"userAccountControl", "accountExpires", "pwdAccountLockedTime", "nsAccountLock", "loginDisabled"}

// read reads groups, then accounts.
func (s *Source) read(conn *ldap.Conn) ([]directory.User, error) {
	groups, err := s.groups(conn)
	if err != nil {
		return nil, err
	}
	want := append([]string{"entryUUID", "objectGUID", "uid"}, signs...)
	for _, a := range s.Attributes {
		want = append(want, a)
	}
	if s.MemberOf != "" {
		want = append(want, s.MemberOf)
	}
	slices.Sort(want)
	users := []directory.User{}
	err = s.each(conn, "accounts", s.Base, s.Filter, slices.Compact(want), func(e *ldap.Entry) error {
		if err := whole(e); err != nil {
			return err
		}
		u := s.user(e)
		if groups != nil {
			found := groups.of(foldDN(e.DN), strings.ToLower(value(e, "uid")))
			u.Groups = slices.Compact(slices.Sorted(slices.Values(append(u.Groups, found...))))
			if u.Groups == nil {
				u.Groups = []string{}
			}
		}
		users = append(users, u)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return users, nil
}

// user reads one entry. What is missing is left empty, for the directory to judge.
func (s *Source) user(e *ldap.Entry) directory.User {
	u := directory.User{Active: s.active(e)}
	for fact, name := range s.Attributes {
		v := value(e, name)
		switch fact {
		case "id":
			u.ID = readable(e, name)
		case "username":
			u.Username = v
		case "name":
			u.Name = v
		case "email":
			u.Email = v
		default:
			if u.Attributes == nil {
				u.Attributes = map[string]string{}
			}
			if v != "" {
				u.Attributes[fact] = v
			}
		}
	}
	if u.ID == "" && s.Attributes["id"] == "" {
		if u.ID = readable(e, "entryUUID"); u.ID == "" {
			u.ID = readable(e, "objectGUID")
		}
	}
	if s.MemberOf != "" {
		u.Groups = []string{}
		for _, v := range e.GetEqualFoldAttributeValues(s.MemberOf) {
			if g := nameOf(v); !slices.Contains(u.Groups, g) {
				u.Groups = append(u.Groups, g)
			}
		}
	}
	return u
}

func value(e *ldap.Entry, attribute string) string { return e.GetEqualFoldAttributeValue(attribute) }

// readable is a value as text; objectGUID, which is 16 bytes, as Microsoft's tools write it.
func readable(e *ldap.Entry, attribute string) string {
	if !strings.EqualFold(attribute, "objectGUID") {
		return value(e, attribute)
	}
	b := e.GetEqualFoldRawAttributeValue(attribute)
	if len(b) != 16 {
		return ""
	}
	b = []byte{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]}
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

const (
	accountDisabled = 0x2       // userAccountControl, ACCOUNTDISABLE
	accountLockout  = 0x10      // LOCKOUT
	filetimeUnix    = 134774    // days from 1601, where accountExpires counts from, to 1970
	never           = 1<<63 - 1 // accountExpires
)

// active tells whether nothing says otherwise: disabled or expired in Active Directory, locked by the password policy of
// OpenLDAP (also for a while, by too many wrong passwords), locked in 389 Directory Server or eDirectory. A value that
// can't be read locks: nobody knows what it was meant to say.
func (s *Source) active(e *ldap.Entry) bool {
	if v := value(e, "userAccountControl"); v != "" {
		flags, err := strconv.ParseInt(v, 10, 64)
		if err != nil || flags&(accountDisabled|accountLockout) != 0 {
			return false
		}
	}
	if v := value(e, "accountExpires"); v != "" {
		ticks, err := strconv.ParseInt(v, 10, 64)
		if err != nil || ticks != 0 && ticks != never && !s.Clock.Now().Before(filetime(ticks)) {
			return false
		}
	}
	if len(e.GetEqualFoldAttributeValues("pwdAccountLockedTime")) > 0 {
		return false
	}
	for _, name := range []string{"nsAccountLock", "loginDisabled"} {
		if v := value(e, name); v != "" && !strings.EqualFold(v, "false") {
			return false
		}
	}
	return true
}

// filetime is a time counted in tenths of a microsecond since 1601.
func filetime(ticks int64) time.Time {
	const second = 10_000_000
	return time.Unix(ticks/second-filetimeUnix*24*60*60, ticks%second*100)
}

// whole refuses an entry of which Active Directory gave only some of an attribute's values: groups would be missing.
func whole(e *ldap.Entry) error {
	for _, a := range e.Attributes {
		if name, options, ok := strings.Cut(strings.ToLower(a.Name), ";"); ok && strings.HasPrefix(options, "range=") {
			return fmt.Errorf("%s has more values of %s than the server gives at once; take groups from memberOf, or raise MaxValRange there", e.DN, name)
		}
	}
	return nil
}

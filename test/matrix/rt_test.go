package matrix

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-240d5494/caddy-impersonate/test/freeport"
)

// rt is Request Tracker 5, as Debian has it. With WebRemoteUserContinuous off it believes its cookie over the header:
// whoever came first in a browser stays, whatever the header says from then on.
var rt = app{
	name:    "RT",
	open:    "/",
	session: "RT_SID_",
	start:   startRT,
	who:     func(ctx context.Context) (string, error) { return text(ctx, css("#preferences .current-user")) },
	write: func(ctx context.Context, text string) error {
		if err := follow(ctx, "/Ticket/Create.html?Queue=1"); err != nil {
			return err
		}
		if err := fill(ctx, css("form[name=TicketCreate] input[name=Subject]"), text); err != nil {
			return err
		}
		return pressAway(ctx, css("form[name=TicketCreate] input[name=SubmitTicket]"))
	},
	wrote: func(ctx context.Context, what, by string) error {
		query := url.QueryEscape("Creator = '" + by + "' AND Subject = '" + what + "'")
		if err := visit(ctx, "/Search/Results.html?Query="+query); err != nil {
			return err
		}
		found, err := text(ctx, css(".ticket-list"))
		if err == nil && !strings.Contains(found, what) {
			err = fmt.Errorf("the tickets by %s are %q", by, found)
		}
		return err
	},
}

func startRT(t *testing.T, dir, origin string) string {
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	finish(t, "copying RT's empty database", exec.Command("cp", filepath.Join(cache, "caddy-impersonate", "rtdb"), filepath.Join(dir, "rtdb")))
	u, err := url.Parse(origin)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"RT_SiteConfig.pm": rtConfig, "rt.psgi": rtProgram} {
		write(t, filepath.Join(dir, name), strings.NewReplacer("@DIR@", dir, "@HOST@", u.Hostname(), "@PORT@", u.Port(), "@ORIGIN@", origin).Replace(text))
	}
	write(t, filepath.Join(dir, "none", "README"), "RT looks here for further settings.")
	addr := freeport.Addr(t)
	host, port, _ := strings.Cut(addr, ":")
	cmd := exec.Command("plackup", "-s", "Standalone", "--host", host, "--port", port, "-E", "deployment", "rt.psgi")
	cmd.Dir = dir
	cmd.Env = environ("RT_SITE_CONFIG="+filepath.Join(dir, "RT_SiteConfig.pm"), "RT_SITE_CONFIG_DIR="+filepath.Join(dir, "none"))
	run(t, "RT", cmd, syscall.SIGTERM, func() bool { return answers("http://" + addr + "/NoAuth/css/elevator-light/base.css") })
	return addr
}

const rtConfig = `Set($rtname, 'rt.test'); Set($Organization, 'test');
Set($WebDomain, '@HOST@'); Set($WebPort, @PORT@); Set($WebBaseURL, '@ORIGIN@'); Set($WebPath, ''); Set($WebSecureCookies, 1);
Set($DatabaseType, 'SQLite'); Set($DatabaseName, '@DIR@/rtdb'); Set($DatabaseHost, ''); Set($DatabaseUser, ''); Set($DatabasePassword, '');
Set($LogToFile, undef); Set($LogToSyslog, undef); Set($LogToSTDERR, 'warning'); Set($MailCommand, 'testfile');
Set($WebRemoteUserAuth, 1); Set($WebRemoteUserContinuous, 0); Set($WebFallbackToRTLogin, 0);
Set($WebRemoteUserAutocreate, 1); Set($UserAutocreateDefaultsOnLogin, {Privileged => 1});
1;
`

// rtProgram gives RT the header as a web server gives REMOTE_USER.
const rtProgram = `use lib '/usr/share/request-tracker5/lib', '/usr/share/perl5';
use RT; RT->LoadConfig(); RT->InitLogging(); RT->Init(Heavy => 1);
my $root = RT::User->new(RT->SystemUser);
my $everyone = RT::Group->new(RT->SystemUser); $everyone->LoadSystemInternalGroup('Privileged');
$everyone->PrincipalObj->GrantRight(Right => $_, Object => RT->System) for qw(SeeQueue ShowTicket CreateTicket ModifyTicket ReplyToTicket CommentOnTicket);
use RT::Interface::Web::Handler;
my $app = RT::Interface::Web::Handler->PSGIApp;
sub {
	my $env = shift;
	delete $env->{REMOTE_USER};
	$env->{REMOTE_USER} = $env->{HTTP_REMOTE_USER} if length($env->{HTTP_REMOTE_USER} // '');
	local $ENV{REMOTE_USER} = $env->{REMOTE_USER};
	delete $ENV{REMOTE_USER} unless defined $env->{REMOTE_USER};
	$app->($env);
};
`

package cli

import (
	"strings"
	"testing"
)

func TestMistakenArguments(t *testing.T) {
	for _, row := range []struct {
		args string
		want []string
	}{
		{"lab nosuch", []string{`unknown command "nosuch" for "pharos lab"`, "See: pharos lab --help"}},
		{"switch nosuch", []string{`unknown command "nosuch" for "pharos switch"`, "See: pharos switch --help"}},
		{"lab reboot", []string{"accepts 1 arg(s), received 0", "Usage: pharos lab reboot NODE"}},
		{"lab power off", []string{"accepts 2 arg(s), received 1", "Usage: pharos lab power on|off NODE"}},
		{"lab exec client", []string{"Usage: pharos lab exec PLACE -- PROGRAM [ARGUMENT…]"}},
		{"explain", []string{"Usage: pharos explain [NAMESPACE/]SERVICE"}},
		{"explain connectoin 192.0.2.7:40000 172.19.100.1:80", []string{"accepts 1 arg(s), received 3", "for a connection it is: pharos explain connection CLIENT:PORT ADDRESS:PORT"}},
		{"status --nosuch", []string{"unknown flag: --nosuch", "See: pharos status --help"}},
		{"switch run", []string{"required flag(s) \"config\" not set"}},
	} {
		_, err := run(t, strings.Fields(row.args)...)
		for _, want := range row.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", row.args, err, want)
			}
		}
	}
	if out, err := run(t, "lab"); err != nil || !strings.Contains(out, "Available Commands:") {
		t.Errorf("lab alone: %v\n%s", err, out)
	}
}

package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// asProgram makes the test binary be the program.
const asProgram = "BFDPAIR_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// Every mistake on the command line is named before a socket is opened.
func TestArguments(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"10.0.0.1", "LOCAL and REMOTE"},
		{"10.0.0.1 10.0.0.2 -multihop", "flags go before them"},
		{"-multiplier 256", "1 to 255"},
		{"-multiplier 0", "1 to 255"},
		{"-interval 0s", "10ms to 1m"},
		{"10.0.0.1 switch", `"switch"`},
		{"-multiplier three", "usage: bfdpair "},
	} {
		cmd := exec.Command(os.Args[0], strings.Fields(test.args)...)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		said, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || !strings.Contains(string(said), test.want) {
			t.Errorf("%s: %v, and no %q in: %s", test.args, err, test.want, said)
		}
	}
}

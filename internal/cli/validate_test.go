package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const samples = "../file/testdata/"

// validate runs the command on a text at standard input, and returns what it says
// and exits with.
func validate(t *testing.T, stdin string, args ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	cmd := New()
	cmd.SetOut(&out)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetArgs(append([]string{"validate"}, args...))
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		return out.String() + err.Error(), ExitCode(err)
	}
	return out.String(), 0
}

func TestValidate(t *testing.T) {
	const pool = "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: a, namespace: lb}\nspec: {addresses: [192.0.2.0/24]}\n"
	for _, c := range []struct {
		name, stdin, args string
		code              int
		want              string
	}{
		{"valid", pool, "-n lb -", 0, "1 object in 1 file: valid\n"},
		{"another namespace", pool, "-", 1, `PLACE  OBJECT           FIELD               PROBLEM
-:3    IPAddressPool a  metadata.namespace  only objects of namespace metallb-system count (create it there)

1 object in 1 file: 1 error
`},
		{"warnings", "", samples + "accepted/warnings.yaml", 0, `PLACE                                       OBJECT                FIELD                   PROBLEM
../file/testdata/accepted/warnings.yaml:2   BGPPeer tor           apiVersion              warning: version v1beta1 is deprecated (write metallb.io/v1beta2, all else stays)
../file/testdata/accepted/warnings.yaml:12  BGPPeer tor           spec.passwordSecret     warning: Secret "elsewhere" is not among the files (without it there is no session)
../file/testdata/accepted/warnings.yaml:21  BGPAdvertisement all  spec.ipAddressPools[0]  warning: IPAddressPool "public" is not among the files
../file/testdata/accepted/warnings.yaml:22  BGPAdvertisement all  spec.peers[0]           warning: BGPPeer "tro" is not among the files (did you mean tor?)

2 objects in 1 file: valid, 4 warnings
`},
		{"others", "", samples + "accepted/helm-rendered.yaml", 0, "2 objects in 1 file: valid; 1 object of other kinds left alone\n"},
		{"nothing", "kind: Service\napiVersion: v1\n", "-", 0, "nothing to check in 1 file; 1 object of other kinds left alone\n"},
		{"two files", "", samples + "accepted/bgp.yaml " + samples + "accepted/l2.yaml", 0, "10 objects in 2 files: valid; 2 objects of other kinds left alone\n"},
		{"no file", "", "nosuch.yaml", 2, "lstat nosuch.yaml: no such file or directory"},
		{"no argument", "", "", 2, "requires at least 1 arg(s), only received 0\nUsage: pharos validate FILE|DIR|- … [flags]\nSee: pharos validate --help"},
		{"output", pool, "-o xml -", 2, "--output \"xml\" is neither table nor json\nUsage: pharos validate FILE|DIR|- … [flags]\nSee: pharos validate --help"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, code := validate(t, c.stdin, strings.Fields(c.args)...)
			if code != c.code || got != c.want {
				t.Errorf("exit code %d, want %d, and\n%s\nwant\n%s", code, c.code, got, c.want)
			}
		})
	}
}

func TestValidateJSON(t *testing.T) {
	out, code := validate(t, "", "-o", "json", samples+"refused/configmap.yaml")
	var got struct {
		Files, Objects, Errors, Warnings int
		Problems                         []struct {
			File          string
			Line          int
			Object        struct{ Kind, Namespace, Name string }
			Field, Reason string
			Hint          string
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if code != 1 || got.Files != 1 || got.Objects != 1 || got.Errors != 3 || len(got.Problems) != 3 {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	if p := got.Problems[1]; p.Line != 14 || p.Object.Name != "config" || p.Field != "address-pools[0].protocol" || p.Hint != "did you mean bgp?" {
		t.Errorf("%+v", p)
	}
	out, code = validate(t, "", "-o", "json", samples+"accepted/l2.yaml")
	if code != 0 || !strings.Contains(out, `"problems": []`) {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// The walk-through's own files are valid.
func TestValidateExamples(t *testing.T) {
	files, err := filepath.Glob("../../examples/walkthrough/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if out, code := validate(t, string(text), "-"); code != 0 {
			t.Errorf("%s: %s", f, out)
		}
	}
}

package cli

import (
	"net/http"
	"path/filepath"
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

func TestExplain(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "speaker.sock")
	mux := http.NewServeMux()
	mux.Handle(explainPath, explainer(func(name pharos.Name) why.Trail {
		return why.Trail{why.New(why.OK, "address 172.19.100.1 is in pool %q", "a"), why.New(why.NoEndpoints, "none of 2 endpoints of %s can serve", name)}
	}))
	serveSocket(t, socket, mux)
	for arg, name := range map[string]string{"web": "default/web", "shop/web": "shop/web"} {
		out, err := run(t, "explain", "--socket", socket, arg)
		want := "ok: address 172.19.100.1 is in pool \"a\"\nnoEndpoints: none of 2 endpoints of " + name + " can serve\n"
		if err != nil || out != want {
			t.Errorf("%s: %v\n%s", arg, err, out)
		}
	}
}

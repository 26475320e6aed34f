package kubelet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"
)

// Logs opens the output of a container's current or last run, or of the one
// before that. An empty container name means the pod's only one, or its first.
// The error is fs.ErrNotExist for what is not there.
func (k *Kubelet) Logs(namespace, pod, container string, previous bool) (io.ReadCloser, error) {
	k.mu.Lock()
	b := k.boot
	k.mu.Unlock()
	if b == nil {
		return nil, fmt.Errorf("node %s is off: %w", k.cfg.Machine.Name(), fs.ErrNotExist)
	}
	path, _, err := b.logPath(namespace, pod, container, previous)
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

// logPath finds the file of a container's output, and the container's status.
func (b *boot) logPath(namespace, pod, name string, previous bool) (string, func() bool, error) {
	for _, w := range b.all() {
		w.mu.Lock()
		public := w.public
		w.mu.Unlock()
		if public.Namespace != namespace || public.Name != pod {
			continue
		}
		for i, c := range public.Containers {
			if c.Name != name && !(name == "" && i == w.inits) {
				continue
			}
			path := c.Log
			if previous {
				path = c.PreviousLog
			}
			if _, err := os.Stat(path); err != nil {
				return "", nil, fmt.Errorf("container %q of pod %s/%s has no such output: %w", c.Name, namespace, pod, fs.ErrNotExist)
			}
			// More may come while the container runs this run.
			more := func() bool {
				w.mu.Lock()
				defer w.mu.Unlock()
				select {
				case <-w.gone:
					return false
				default:
				}
				return w.public.Containers[i].Log == path && w.public.Containers[i].Running
			}
			return path, more, nil
		}
	}
	return "", nil, fmt.Errorf("pod %s/%s has no container %q here: %w", namespace, pod, name, fs.ErrNotExist)
}

// apiServerUser is the API server's name towards kubelets, and the only client
// that is served.
const apiServerUser = "kube-apiserver-kubelet-client"

// serve answers the API server's requests for logs until ctx ends.
func (b *boot) serve(ctx context.Context) {
	if b.cfg.Serving == nil {
		return
	}
	address := net.JoinHostPort(b.addrs[0].String(), strconv.Itoa(int(b.cfg.Port)))
	l, err := b.ns.Listen(ctx, "tcp", address)
	if err != nil {
		b.log.Error("serve logs", "addr", address, "err", err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", b.serveLogs)
	for _, stream := range []string{"exec", "attach", "portForward"} {
		mux.HandleFunc("/"+stream+"/", refuseStream)
	}
	server := &http.Server{
		Handler:           apiServerOnly(mux),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(b.log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*b.cfg.Serving},
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: b.cfg.ClientCA,
		},
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
		b.log.Error("serve logs", "addr", address, "err", err)
	}
}

func apiServerOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user := r.TLS.PeerCertificates[0].Subject.CommonName; user != apiServerUser {
			http.Error(w, "only the API server is served", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refuseStream answers kubectl exec, attach and port-forward: the lab has a way of
// its own into a pod, on the caller's terminal and pipes.
func refuseStream(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "the lab's nodes serve logs alone; in place of exec there is: pharos lab exec pod/NAMESPACE/NAME -- PROGRAM", http.StatusNotImplemented)
}

// serveLogs answers kubectl logs.
func (b *boot) serveLogs(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	for _, option := range []string{"timestamps", "sinceSeconds", "sinceTime"} {
		if value := query.Get(option); value != "" && value != "false" {
			http.Error(w, "the lab's logs have no timestamps", http.StatusBadRequest)
			return
		}
	}
	path, more, err := b.logPath(r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container"), query.Get("previous") == "true")
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	f, err := os.Open(path)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer f.Close()
	if err := toTail(f, query); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var out io.Writer = flushing{w}
	if limit, err := strconv.ParseInt(query.Get("limitBytes"), 10, 64); err == nil {
		io.Copy(out, io.LimitReader(f, limit))
		return
	}
	for {
		again := query.Get("follow") == "true" && more()
		if _, err := io.Copy(out, f); err != nil || !again {
			return
		}
		pause(r.Context(), 200*time.Millisecond)
		if r.Context().Err() != nil {
			return
		}
	}
}

// toTail moves to the beginning of the last tailLines lines.
func toTail(f *os.File, query url.Values) error {
	if query.Get("tailLines") == "" {
		return nil
	}
	lines, err := strconv.Atoi(query.Get("tailLines"))
	if err != nil || lines < 0 {
		return fmt.Errorf("tailLines: %q is not a number of lines", query.Get("tailLines"))
	}
	at, err := f.Seek(0, io.SeekEnd)
	if err != nil || lines == 0 {
		return err
	}
	var buf [8 << 10]byte
	end := at
	for at > 0 {
		n := min(at, int64(len(buf)))
		at -= n
		if _, err := f.ReadAt(buf[:n], at); err != nil {
			return err
		}
		for i := n - 1; i >= 0; i-- {
			// The last line's own end begins no line.
			if buf[i] != '\n' || at+i == end-1 {
				continue
			}
			if lines--; lines <= 0 {
				_, err := f.Seek(at+i+1, io.SeekStart)
				return err
			}
		}
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}

// flushing sends each piece at once, for those who follow.
type flushing struct{ w http.ResponseWriter }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if flusher, ok := f.w.(http.Flusher); ok {
		flusher.Flush()
	}
	return n, err
}

package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Time limits of the admin endpoint. Every connection is served by itself, so
// an idle or slow client delays nobody; the limits bound what it can hold.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 2 * time.Minute // a CPU profile takes 30 s by default
	idleTimeout       = time.Minute
	closeTimeout      = 2 * time.Second
	maxHeaderBytes    = 16 << 10
)

// Admin is the HTTP endpoint for probes, metrics and read-only pages:
//
//	/                 what there is, with links, for people
//	/livez, /readyz   probes: 200 and {"status":"ok"}, else 500 resp. 503 and the reasons
//	/metrics          Prometheus text or OpenMetrics
//	/debug/pprof/     profiles, for clients on this machine only
//
// Add pages with [Admin.Page], at any time.
type Admin struct {
	listener net.Listener
	mux      *http.ServeMux
	log      *slog.Logger

	mu sync.Mutex
	// index is what / lists, in order.
	index []indexEntry
}

// indexEntry is a page and what it answers.
type indexEntry struct{ path, what string }

// NewAdmin binds addr (ip:port; port 0 takes a free one), so that an address
// that is taken is noticed at start. Connections wait until [Admin.Run].
func NewAdmin(addr string, health *Health, metrics prometheus.Gatherer, log *slog.Logger) (*Admin, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("bind admin address: %w", err)
	}
	a := &Admin{listener: l, mux: http.NewServeMux(), log: log}
	a.mux.HandleFunc("/", unknownEndpoint)
	a.mux.HandleFunc("GET /{$}", a.serveIndex)
	a.mux.Handle("/livez", probe("/livez", http.StatusInternalServerError, health.Live))
	a.mux.Handle("/readyz", probe("/readyz", http.StatusServiceUnavailable, health.Ready))
	a.list("/livez", "whether the process works")
	a.list("/readyz", "whether it takes its part, and if not, why")
	a.Page("/metrics", "metrics for Prometheus", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	a.HandleDebug("/debug/pprof/", http.HandlerFunc(pprof.Index))
	a.list("/debug/pprof/", "profiles, for clients on this machine")
	a.HandleDebug("/debug/pprof/cmdline", http.HandlerFunc(pprof.Cmdline))
	a.HandleDebug("/debug/pprof/profile", http.HandlerFunc(pprof.Profile))
	a.HandleDebug("/debug/pprof/symbol", http.HandlerFunc(pprof.Symbol))
	a.HandleDebug("/debug/pprof/trace", http.HandlerFunc(pprof.Trace))
	return a, nil
}

// Addr is the address in use, such as 127.0.0.1:8080.
func (a *Admin) Addr() string { return a.listener.Addr().String() }

// Page adds a page for GET and HEAD, and to the index what it answers. The path
// must be new.
func (a *Admin) Page(path, what string, h http.Handler) {
	a.mux.Handle("GET "+path, h)
	a.list(path, what)
}

func (a *Admin) list(path, what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.index = append(a.index, indexEntry{path, what})
}

// serveIndex lists the pages.
func (a *Admin) serveIndex(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	index := slices.Clone(a.index)
	a.mu.Unlock()
	var b strings.Builder
	b.WriteString("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>wadm</title>\n" +
		"<style>body{font:16px sans-serif;margin:2em}td{padding:.2em 2em .2em 0}</style></head>\n<body><h1>wadm</h1>\n<table>\n")
	for _, e := range index {
		path, what := html.EscapeString(e.path), html.EscapeString(e.what)
		fmt.Fprintf(&b, "<tr><td><a href=\"%s\">%s</a></td><td>%s</td></tr>\n", path, path, what)
	}
	b.WriteString("</table></body></html>\n")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, b.String())
}

// HandleDebug adds a page that only clients on this machine may see.
func (a *Admin) HandleDebug(pattern string, h http.Handler) {
	a.mux.Handle(pattern, loopbackOnly(h))
}

// ServeHTTP answers one request, as Run does for those that arrive.
func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// Run serves until ctx ends, then gives requests in progress a moment.
func (a *Admin) Run(ctx context.Context) error {
	srv := &http.Server{
		Handler:           a,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		if srv.Shutdown(closing) != nil {
			_ = srv.Close() // what is still open has had its moment
		}
	})
	err := srv.Serve(a.listener)
	if stop() {
		// Serve ended by itself.
		_ = srv.Close()
		return fmt.Errorf("serve admin endpoint: %w", err)
	}
	<-stopped
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve admin endpoint: %w", err)
}

// Close gives the address back if [Admin.Run] was never called.
func (a *Admin) Close() error { return a.listener.Close() }

// probe answers for one set of checks.
func probe(path string, failure int, reasons func(context.Context) []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			text(w, http.StatusMethodNotAllowed, fmt.Sprintf("method `%s` not supported for path `%s`", r.Method, path))
			return
		}
		answer := struct {
			Status  string   `json:"status"`
			Reasons []string `json:"reasons,omitempty"`
		}{Status: "ok"}
		status := http.StatusOK
		if answer.Reasons = reasons(r.Context()); len(answer.Reasons) > 0 {
			answer.Status, status = "failure", failure
		}
		body, err := json.Marshal(answer)
		if err != nil {
			text(w, http.StatusInternalServerError, err.Error())
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			_, _ = w.Write(body)
		}
	})
}

func unknownEndpoint(w http.ResponseWriter, r *http.Request) {
	text(w, http.StatusNotFound, fmt.Sprintf("unknown endpoint `%s`", r.URL.Path))
}

func text(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// loopbackOnly hides h from other machines. Behind a proxy on this machine the
// proxy decides who gets here.
func loopbackOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addr, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !addr.Addr().Unmap().IsLoopback() {
			text(w, http.StatusForbidden, "only for clients on the same machine")
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Package httpadmin serves the HTTP pages of the admin address: probes, metrics,
// profiles, and what a program adds. It knows no secrets and changes nothing.
package httpadmin

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

	"wadm/telemetry"
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

// Server is the HTTP endpoint for probes, metrics and read-only pages:
//
//	/                 what there is, with links, for people
//	/livez, /readyz   probes: 200 and {"status":"ok"}; /readyz else 503 and the reasons
//	/metrics          Prometheus text or OpenMetrics
//	/debug/pprof/     profiles, for clients on this machine only
//
// Add pages with [Server.Page], at any time.
type Server struct {
	listener net.Listener
	mux      *http.ServeMux
	log      *slog.Logger

	mu sync.Mutex
	// index is what / lists, in order.
	index []indexEntry
}

// indexEntry is a page and what it answers.
type indexEntry struct{ path, what string }

// New binds addr (ip:port; port 0 takes a free one), so that an address
// that is taken is noticed at start. Connections wait until [Server.Run].
func New(addr string, health *telemetry.Health, metrics prometheus.Gatherer, log *slog.Logger) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("bind admin address: %w", err)
	}
	s := &Server{listener: l, mux: http.NewServeMux(), log: log}
	s.mux.HandleFunc("/", unknownEndpoint)
	s.mux.HandleFunc("GET /{$}", s.serveIndex)
	s.mux.Handle("/livez", probe("/livez", func(context.Context) []string { return nil }))
	s.mux.Handle("/readyz", probe("/readyz", health.Ready))
	s.list("/livez", "whether the process works")
	s.list("/readyz", "whether it takes its part, and if not, why")
	s.Page("/metrics", "metrics for Prometheus", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	s.HandleDebug("/debug/pprof/", http.HandlerFunc(pprof.Index))
	s.list("/debug/pprof/", "profiles, for clients on this machine")
	s.HandleDebug("/debug/pprof/cmdline", http.HandlerFunc(pprof.Cmdline))
	s.HandleDebug("/debug/pprof/profile", http.HandlerFunc(pprof.Profile))
	s.HandleDebug("/debug/pprof/symbol", http.HandlerFunc(pprof.Symbol))
	s.HandleDebug("/debug/pprof/trace", http.HandlerFunc(pprof.Trace))
	return s, nil
}

// Addr is the address in use, such as 127.0.0.1:8080.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Page adds a page for GET and HEAD, and to the index what it answers. The path
// must be new.
func (s *Server) Page(path, what string, h http.Handler) {
	s.mux.Handle("GET "+path, h)
	s.list(path, what)
}

func (s *Server) list(path, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index = append(s.index, indexEntry{path, what})
}

// serveIndex lists the pages.
func (s *Server) serveIndex(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	index := slices.Clone(s.index)
	s.mu.Unlock()
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
func (s *Server) HandleDebug(pattern string, h http.Handler) {
	s.mux.Handle(pattern, loopbackOnly(h))
}

// ServeHTTP answers one request, as Run does for those that arrive.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Run serves until ctx ends, then gives requests in progress a moment.
func (s *Server) Run(ctx context.Context) error {
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
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
	err := srv.Serve(s.listener)
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

// Close gives the address back if [Server.Run] was never called.
func (s *Server) Close() error { return s.listener.Close() }

// probe answers for one set of checks.
func probe(path string, reasons func(context.Context) []string) http.Handler {
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
			answer.Status, status = "failure", http.StatusServiceUnavailable
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

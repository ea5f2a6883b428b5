package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
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
//	/livez, /readyz   probes: 200 and {"status":"ok"}, else 500 resp. 503 and the reasons
//	/metrics          Prometheus text or OpenMetrics
//	/debug/pprof/     profiles, for clients on this machine only
//
// Add pages with [Admin.Handle] before calling [Admin.Run].
type Admin struct {
	listener net.Listener
	mux      *http.ServeMux
	log      *slog.Logger
}

// NewAdmin binds addr (ip:port; port 0 takes a free one), so that an address
// that is taken is noticed at start. Connections wait until [Admin.Run].
func NewAdmin(addr string, health *Health, metrics prometheus.Gatherer, log *slog.Logger) (*Admin, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("bind admin address: %w", err)
	}
	a := &Admin{listener: l, mux: http.NewServeMux(), log: log}
	a.mux.HandleFunc("/", unknownEndpoint)
	a.mux.Handle("/livez", probe("/livez", http.StatusInternalServerError, health.Live))
	a.mux.Handle("/readyz", probe("/readyz", http.StatusServiceUnavailable, health.Ready))
	a.mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	a.HandleDebug("/debug/pprof/", http.HandlerFunc(pprof.Index))
	a.HandleDebug("/debug/pprof/cmdline", http.HandlerFunc(pprof.Cmdline))
	a.HandleDebug("/debug/pprof/profile", http.HandlerFunc(pprof.Profile))
	a.HandleDebug("/debug/pprof/symbol", http.HandlerFunc(pprof.Symbol))
	a.HandleDebug("/debug/pprof/trace", http.HandlerFunc(pprof.Trace))
	return a, nil
}

// Addr is the address in use, such as 127.0.0.1:8080.
func (a *Admin) Addr() string { return a.listener.Addr().String() }

// Handle adds a page. Pattern is one of [http.ServeMux]; it must be new.
func (a *Admin) Handle(pattern string, h http.Handler) { a.mux.Handle(pattern, h) }

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

package natstest

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// StartCluster runs servers with routes between them until the test ends. Each
// starts again in its place.
func StartCluster(t testing.TB, servers int, opts ...Option) []*Server {
	t.Helper()
	var ports []int
	var routes []string
	var listeners []net.Listener
	for range servers {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, l)
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
		routes = append(routes, "nats://"+l.Addr().String())
	}
	for _, l := range listeners {
		_ = l.Close()
	}
	var all []*Server
	for i, port := range ports {
		all = append(all, Start(t, append([]Option{WithOptions(func(o *server.Options) {
			o.ServerName = fmt.Sprintf("n%d", i)
			o.Cluster = server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: port}
			o.Routes = server.RoutesFromStr(strings.Join(routes, ","))
		})}, opts...)...))
	}
	for _, s := range all {
		if !s.NATS().ReadyForConnections(clusterTimeout) {
			t.Fatalf("server not ready within %v", clusterTimeout)
		}
	}
	return all
}

// clusterTimeout bounds how long servers may take to meet.
const clusterTimeout = 20 * time.Second

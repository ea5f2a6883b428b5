package httpadmin

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// NewMetrics returns a registry that already has the metrics of the Go
// runtime and of the process, and wadm_build_info. Packages add their own to it;
// their names start with wadm_ and end with a unit or _total.
func NewMetrics(version, instance string) *prometheus.Registry {
	r := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "wadm_build_info",
		Help:        "Always 1; the labels say which version this instance runs.",
		ConstLabels: prometheus.Labels{"version": version, "instance_id": instance},
	})
	info.Set(1)
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), info)
	return r
}

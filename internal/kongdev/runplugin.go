package kongdev

import (
	"io"

	"kong-go-plugins/internal/kongdev/errorlog"
)

// RunPlugin runs a plugin server without a gateway, as Kong does: an almost empty environment, umask 0, its output
// logged, started again when it ends. stop ends it as kong stop does.
func RunPlugin(s PluginServer, log io.Writer, level string) (stop func(), err error) {
	l, err := errorlog.New(log, level)
	if err != nil {
		return nil, err
	}
	return startProcess(s, l, func(bool) {}).stop, nil
}

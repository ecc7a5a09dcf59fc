package kongdev

import (
	"errors"
	"strings"

	"kong-go-plugins/internal/kongdev/errorlog"
	"kong-go-plugins/internal/kongdev/lua"
)

// logMethods are kong.log.
var logMethods = map[string]pdkMethod{ // read-only
	"kong.log.alert":  {anyPhase, true, logCall(errorlog.Alert)},
	"kong.log.crit":   {anyPhase, true, logCall(errorlog.Crit)},
	"kong.log.err":    {anyPhase, true, logCall(errorlog.Err)},
	"kong.log.warn":   {anyPhase, true, logCall(errorlog.Warn)},
	"kong.log.notice": {anyPhase, true, logCall(errorlog.Notice)},
	"kong.log.info":   {anyPhase, true, logCall(errorlog.Info)},
	"kong.log.debug":  {anyPhase, true, logCall(errorlog.Debug)},
	"kong.log.serialize": {phaseLog, true, func(ev *event, _ []byte) ([]byte, error) {
		return ev.req.logOnce.message(), nil
	}},
	"kong.log.set_serialize_value": {contextPhases, true, pairCall(func(q *request, key string, v lua.Value) error {
		if q.phase != phaseLog { // there it is too late, and no error
			q.serializeValues = append(q.serializeValues, serializeValue{key, v})
		}
		return nil
	})},
}

// logCall writes a line: the arguments up to the first that Lua lost, joined.
func logCall(level int) func(*event, []byte) ([]byte, error) {
	return func(ev *event, args []byte) ([]byte, error) {
		list, err := lua.DecodeList(args)
		if err != nil {
			return nil, err
		}
		if level > ev.req.gw.log.Level {
			return nil, nil
		}
		if len(list.List) == 0 || list.List[0] == nil { // a nil, or false, ends Lua's argument list
			return nil, errors.New("bad argument #1 to 'select' (index out of range)")
		}
		var text strings.Builder
		for _, v := range list.List {
			if v == nil {
				break
			}
			text.WriteString(lua.ToString(v))
		}
		ev.req.gw.log.Printf(level, "[%s] %s, request_id: %q", ev.conf.plugin.Name, text.String(), ev.req.id)
		return nil, nil
	}
}

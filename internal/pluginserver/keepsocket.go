package pluginserver

import (
	"context"
	"errors"
	"io/fs"
	"time"
)

// socketPoll is how often the supervisor looks whether its socket's path still names something.
const socketPoll = time.Second

// watchSocket has a socket made again that somebody has removed: whoever tidies up Kong's prefix, for instance.
func (s *supervisor) watchSocket(ctx context.Context) {
	tick := time.NewTicker(socketPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.post(s.keepSocket)
		}
	}
}

// keepSocket listens anew when the path names nothing: the connections that Kong has go on, but it can make no other.
// A worker has its listening socket from its start, so another one takes over. A path that names another socket is a
// successor's, and not ours to take.
func (s *supervisor) keepSocket() {
	if s.stopping || s.change != nil || s.serving == nil {
		return
	}
	if s.serving.socket == s.setup.ID {
		if _, err := fileIDOf(s.setup.Socket); !errors.Is(err, fs.ErrNotExist) {
			return
		}
		listener, id, err := listenSocket(s.setup.Socket, s.socketMode)
		if err != nil {
			if now := time.Now(); now.Sub(s.socketTold) >= reportEvery {
				s.socketTold = now
				s.log.Error("the socket was removed and cannot be made again, Kong can make no new connection", "error", err)
			}
			return
		}
		s.log.Warn("the socket was removed, listening on a new one", "socket", s.setup.Socket)
		_ = s.listener.Close() // the worker's copy is open until it has handed over
		s.listener, s.setup.ID = listener, id
	} // else the successor that was to accept from the new socket has died: once more
	s.change = &handOver{}
	s.succeed(s.program)
}

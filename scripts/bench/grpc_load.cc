// A gRPC load generator that costs next to nothing: prebuilt unary requests over cleartext HTTP/2,
// one thread. Requests come from a file, so that nothing is encoded while the clock runs; replies
// are only framed, not decoded, unless --replies asks for them. It sends what RFC 9113 and 7541
// need of a client and no more.
//
// usage: grpc_load --port P --path /package.Service/Method --requests FILE [--connections C]
// [--streams M]
//                  [--count N] [--seconds S] [--replies FILE]
// FILE: records of uint32 little-endian length and message. Sent round robin until N calls or S
// seconds are over. Prints one line of JSON: calls, errors, seconds, microseconds of latency by
// percentile.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr uint8_t kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPing = 6, kGoAway = 7,
                  kWindowUpdate = 8;
constexpr uint8_t kEndStream = 1, kAck = 1, kEndHeaders = 4;
constexpr uint32_t kReceiveWindow = 0x7fffffff;
constexpr size_t kFrameHead = 9;
constexpr size_t kReadBytes = 256 * 1024;

struct Options {
  std::string host = "127.0.0.1";
  int port = 19530;
  std::string path;
  std::string requests;
  std::string replies;
  size_t connections = 1;
  size_t streams = 1;
  size_t count = 0;
  double seconds = 0;
};

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "grpc_load: %s\n", message.c_str());
  std::exit(1);
}

void put_u32(std::string* out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out->push_back(static_cast<char>(value >> shift));
}

uint32_t get_u32(const char* bytes) {
  const auto* b = reinterpret_cast<const uint8_t*>(bytes);
  return uint32_t{b[0]} << 24 | uint32_t{b[1]} << 16 | uint32_t{b[2]} << 8 | b[3];
}

void put_frame(std::string* out, size_t length, uint8_t type, uint8_t flags, uint32_t stream) {
  out->push_back(static_cast<char>(length >> 16));
  out->push_back(static_cast<char>(length >> 8));
  out->push_back(static_cast<char>(length));
  out->push_back(static_cast<char>(type));
  out->push_back(static_cast<char>(flags));
  put_u32(out, stream);
}

// A literal field that is not added to the peer's table, so that every call has the same header
// block.
void put_field(std::string* out, const std::string& name, const std::string& value) {
  out->push_back(0);
  out->push_back(static_cast<char>(name.size()));
  out->append(name);
  out->push_back(static_cast<char>(value.size()));
  out->append(value);
}

std::vector<std::string> read_requests(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("cannot read " + path);
  const std::string all((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::vector<std::string> messages;
  for (size_t at = 0; at + 4 <= all.size();) {
    uint32_t length;
    std::memcpy(&length, all.data() + at, 4);
    if (at + 4 + length > all.size()) fail(path + " ends inside a message");
    std::string body(1, '\0');  // gRPC: not compressed
    put_u32(&body, length);
    body.append(all, at + 4, length);
    messages.push_back(std::move(body));
    at += 4 + length;
  }
  if (messages.empty()) fail(path + " holds no message");
  return messages;
}

struct Call {
  size_t request;
  size_t sent = 0;  // of the body
  int64_t window;
  Clock::time_point started;
  std::string reply;
};

class Load;

class Connection {
 public:
  Connection(Load* load, const Options& options);
  int fd() const { return fd_; }
  short events() const {
    return static_cast<short>(POLLIN | (out_at_ < out_.size() ? POLLOUT : 0));
  }
  size_t in_flight() const { return calls_.size(); }
  void fill();
  void flush();
  void receive();

 private:
  void on_frame(uint8_t type, uint8_t flags, uint32_t stream, const char* payload, size_t length);
  void send_body(uint32_t id, Call* call);
  void send_bodies();

  Load* load_;
  const Options& options_;
  int fd_;
  std::string header_block_;
  std::string out_;
  size_t out_at_ = 0;
  std::string in_;
  std::unordered_map<uint32_t, Call> calls_;
  uint32_t next_stream_ = 1;
  int64_t window_ = 65535;
  size_t received_ = 0;  // since the last window update of the connection
  int64_t first_window_ = 65535;
  size_t frame_bytes_ = 16384;
};

class Load {
 public:
  Load(const Options& options)
      : options_(options), requests(read_requests(options.requests)), replies_(requests.size()) {}

  bool may_start() const {
    if (options_.count != 0 && started_ >= options_.count) return false;
    return options_.seconds == 0 || Clock::now() < until_;
  }
  size_t take_request() { return started_++ % requests.size(); }

  void finish(const Call& call, bool is_ok) {
    latencies_.push_back(
        std::chrono::duration<float, std::micro>(Clock::now() - call.started).count());
    errors_ += is_ok ? 0 : 1;
    if (!options_.replies.empty()) replies_[call.request] = call.reply;
  }

  void run() {
    begun_ = Clock::now();
    until_ = begun_ + std::chrono::microseconds(static_cast<int64_t>(options_.seconds * 1e6));
    std::vector<Connection> connections;
    connections.reserve(options_.connections);
    for (size_t i = 0; i < options_.connections; ++i) connections.emplace_back(this, options_);
    std::vector<pollfd> polled(connections.size());
    for (;;) {
      size_t in_flight = 0;
      for (Connection& connection : connections) {
        connection.fill();
        connection.flush();
        in_flight += connection.in_flight();
      }
      if (in_flight == 0) break;
      for (size_t i = 0; i < connections.size(); ++i)
        polled[i] = {connections[i].fd(), connections[i].events(), 0};
      if (poll(polled.data(), polled.size(), 60'000) <= 0) fail("no answer for a minute");
      for (size_t i = 0; i < connections.size(); ++i) {
        if ((polled[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0) connections[i].receive();
      }
    }
    seconds_ = std::chrono::duration<double>(Clock::now() - begun_).count();
  }

  void report() {
    std::sort(latencies_.begin(), latencies_.end());
    const auto at = [&](double share) {
      const size_t last = latencies_.size() - 1;
      return static_cast<double>(
          latencies_[std::min(last, static_cast<size_t>(share * latencies_.size()))]);
    };
    double sum = 0;
    for (const float latency : latencies_) sum += latency;
    std::printf(
        "{\"calls\":%zu,\"errors\":%zu,\"seconds\":%.6f,\"callsPerSecond\":%.1f,\"meanUs\":%.1f,"
        "\"p50Us\":%.1f,\"p90Us\":%.1f,\"p95Us\":%.1f,\"p99Us\":%.1f,\"maxUs\":%.1f}\n",
        latencies_.size(), errors_, seconds_, latencies_.size() / seconds_, sum / latencies_.size(),
        at(0.5), at(0.9), at(0.95), at(0.99), at(1));
    if (options_.replies.empty()) return;
    std::ofstream file(options_.replies, std::ios::binary);
    for (const std::string& reply : replies_) {
      const size_t length = reply.size() < 5 ? 0 : reply.size() - 5;
      const auto head = static_cast<uint32_t>(length);
      file.write(reinterpret_cast<const char*>(&head), 4);
      if (length != 0) file.write(reply.data() + 5, static_cast<std::streamsize>(length));
    }
  }

 private:
  const Options& options_;

 public:
  const std::vector<std::string> requests;

 private:
  std::vector<std::string> replies_;
  std::vector<float> latencies_;
  size_t started_ = 0;
  size_t errors_ = 0;
  Clock::time_point begun_;
  Clock::time_point until_;
  double seconds_ = 0;
};

Connection::Connection(Load* load, const Options& options) : load_(load), options_(options) {
  fd_ = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(options.port));
  inet_pton(AF_INET, options.host.c_str(), &address.sin_addr);
  if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    fail("cannot connect");
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  header_block_ = "\x83\x86";  // :method POST, :scheme http
  put_field(&header_block_, ":path", options.path);
  put_field(&header_block_, ":authority", "localhost");
  put_field(&header_block_, "content-type", "application/grpc");
  put_field(&header_block_, "te", "trailers");
  out_ = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  put_frame(&out_, 6, kSettings, 0, 0);
  out_.append("\0\4", 2);  // SETTINGS_INITIAL_WINDOW_SIZE: replies never wait for us
  put_u32(&out_, kReceiveWindow);
  put_frame(&out_, 4, kWindowUpdate, 0, 0);
  put_u32(&out_, kReceiveWindow - 65535);
}

void Connection::fill() {
  while (calls_.size() < options_.streams && load_->may_start()) {
    const uint32_t id = next_stream_;
    next_stream_ += 2;
    Call& call = calls_[id];
    call.request = load_->take_request();
    call.window = first_window_;
    call.started = Clock::now();
    put_frame(&out_, header_block_.size(), kHeaders, kEndHeaders, id);
    out_ += header_block_;
    send_body(id, &call);
  }
}

void Connection::send_body(uint32_t id, Call* call) {
  const std::string& body = load_->requests[call->request];
  while (call->sent < body.size() && window_ > 0 && call->window > 0) {
    const size_t length =
        std::min({body.size() - call->sent, frame_bytes_, static_cast<size_t>(window_),
                  static_cast<size_t>(call->window)});
    const bool is_last = call->sent + length == body.size();
    put_frame(&out_, length, kData, is_last ? kEndStream : 0, id);
    out_.append(body, call->sent, length);
    call->sent += length;
    call->window -= static_cast<int64_t>(length);
    window_ -= static_cast<int64_t>(length);
  }
}

void Connection::send_bodies() {
  for (auto& [id, call] : calls_) send_body(id, &call);
}

void Connection::flush() {
  while (out_at_ < out_.size()) {
    const ssize_t sent =
        send(fd_, out_.data() + out_at_, out_.size() - out_at_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EAGAIN || errno == EINTR) return;
      fail("the server closed the connection");
    }
    out_at_ += static_cast<size_t>(sent);
  }
  out_.clear();
  out_at_ = 0;
}

void Connection::receive() {
  const size_t had = in_.size();
  in_.resize(had + kReadBytes);
  const ssize_t got = recv(fd_, in_.data() + had, kReadBytes, MSG_DONTWAIT);
  if (got == 0) fail("the server closed the connection");
  in_.resize(had + static_cast<size_t>(std::max<ssize_t>(0, got)));
  size_t at = 0;
  while (in_.size() - at >= kFrameHead) {
    const char* head = in_.data() + at;
    const size_t length = get_u32(head) >> 8;
    if (in_.size() - at < kFrameHead + length) break;
    const uint32_t stream = get_u32(head + 5) & 0x7fffffff;
    on_frame(static_cast<uint8_t>(head[3]), static_cast<uint8_t>(head[4]), stream,
             head + kFrameHead, length);
    at += kFrameHead + length;
  }
  in_.erase(0, at);
}

void Connection::on_frame(uint8_t type, uint8_t flags, uint32_t stream, const char* payload,
                          size_t length) {
  const auto found = calls_.find(stream);
  if (type == kSettings && (flags & kAck) == 0) {
    for (size_t at = 0; at + 6 <= length; at += 6) {
      const uint32_t name = get_u32(payload + at) >> 16;
      const uint32_t value = get_u32(payload + at + 2);
      if (name == 5) frame_bytes_ = value;
      if (name != 4) continue;
      for (auto& [id, call] : calls_) call.window += static_cast<int64_t>(value) - first_window_;
      first_window_ = value;
    }
    put_frame(&out_, 0, kSettings, kAck, 0);
    send_bodies();
  } else if (type == kPing && (flags & kAck) == 0) {
    put_frame(&out_, length, kPing, kAck, 0);
    out_.append(payload, length);
  } else if (type == kWindowUpdate) {
    if (stream == 0)
      window_ += get_u32(payload);
    else if (found != calls_.end())
      found->second.window += get_u32(payload);
    send_bodies();
  } else if (type == kGoAway) {
    fail("the server said goodbye");
  } else if (found != calls_.end()) {
    if (type == kData) {
      found->second.reply.append(payload, length);
      received_ += length;
      if (received_ >= kReceiveWindow / 2) {
        put_frame(&out_, 4, kWindowUpdate, 0, 0);
        put_u32(&out_, static_cast<uint32_t>(received_));
        received_ = 0;
      }
    }
    if (type == kReset || (flags & kEndStream) != 0) {
      load_->finish(found->second, type != kReset && found->second.reply.size() >= 5);
      calls_.erase(found);
    }
  }
}

Options read_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const std::string value = argv[i + 1];
    if (name == "--host")
      options.host = value;
    else if (name == "--port")
      options.port = std::stoi(value);
    else if (name == "--path")
      options.path = value;
    else if (name == "--requests")
      options.requests = value;
    else if (name == "--replies")
      options.replies = value;
    else if (name == "--connections")
      options.connections = std::stoul(value);
    else if (name == "--streams")
      options.streams = std::stoul(value);
    else if (name == "--count")
      options.count = std::stoul(value);
    else if (name == "--seconds")
      options.seconds = std::stod(value);
    else
      fail("unknown option " + name);
  }
  if (options.path.empty() || options.path.size() > 126 || options.requests.empty())
    fail("need --path and --requests");
  if (options.count == 0 && options.seconds == 0) fail("need --count or --seconds");
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = read_options(argc, argv);
  Load load(options);
  load.run();
  load.report();
  return 0;
}

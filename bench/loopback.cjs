// Preloaded into peers that would listen on all addresses: they listen on this machine's own alone.
const net = require("node:net");

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  const callback = rest.find((argument) => typeof argument === "function");
  return listen.call(this, Number(port), "127.0.0.1", callback);
};

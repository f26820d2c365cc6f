// Runs before everything else in a page: counts the bytes of WebAssembly heaps and GPU buffers.
{
  let bytes = 0;
  const heaps = [];
  const NativeMemory = WebAssembly.Memory;
  WebAssembly.Memory = class extends NativeMemory {
    constructor(descriptor) {
      super(descriptor);
      heaps.push(this);
    }
  };
  if (globalThis.GPUDevice) {
    const live = new WeakSet();
    const create = GPUDevice.prototype.createBuffer;
    GPUDevice.prototype.createBuffer = function createBuffer(descriptor) {
      const buffer = create.call(this, descriptor);
      bytes += descriptor.size;
      live.add(buffer);
      return buffer;
    };
    const destroy = GPUBuffer.prototype.destroy;
    GPUBuffer.prototype.destroy = function destroyBuffer() {
      if (live.delete(this)) bytes -= this.size;
      destroy.call(this);
    };
  }
  globalThis.heldBytes = () => heaps.reduce((sum, heap) => sum + heap.buffer.byteLength, bytes);
}

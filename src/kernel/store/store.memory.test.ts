import { storeContract } from './contract.suite.ts';
import { MemoryStore } from './memory/memory-store.ts';

storeContract('memory', async () => {
  const store = new MemoryStore();
  return { store, close: () => store.close() };
});

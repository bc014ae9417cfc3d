// What tus-js-client does with a tus server: node tus_flows.cjs URL OTHER_URL. Prints what came of each flow, as JSON.
// OTHER_URL is another process of the same server. A flow returns the URL of an upload and the bytes that it must have.

const assert = require('node:assert')
const crypto = require('node:crypto')
const { Readable } = require('node:stream')
const tus = require('tus-js-client')

const [endpoint, other] = process.argv.slice(2)
const TUS = { 'Tus-Resumable': '1.0.0' }
const MB = 1 << 20
const random = (size) => crypto.randomBytes(size)
const moved = (url) => `${other}/${url.split('/').pop()}`
const status = async (url, method = 'HEAD') => (await fetch(url, { method, headers: TUS })).status

// Upload to the end. The promise has the Upload.
function sent(data, options = {}) {
  return new Promise((resolve, reject) => {
    const upload = new tus.Upload(data, {
      endpoint,
      retryDelays: [0, 200, 500, 1000],
      onError: reject,
      onSuccess: () => resolve(upload),
      ...options,
    })
    options.begin ? options.begin(upload) : upload.start()
  })
}

// Upload until the first chunk was counted, and stop there.
function interrupted(data, options = {}) {
  return new Promise((resolve, reject) => {
    const upload = new tus.Upload(data, {
      endpoint,
      chunkSize: MB,
      onError: reject,
      onChunkComplete: () => upload.abort().then(() => resolve(upload), reject),
      ...options,
    })
    upload.start()
  })
}

// A stream whose chunks are not those of the upload.
const streamed = (data) =>
  Readable.from(Array.from({ length: Math.ceil(data.length / 100_000) }, (_, n) => data.subarray(n * 100_000, (n + 1) * 100_000)))

const whole = (size, options) => async () => {
  const data = random(size)
  return { url: (await sent(data, options)).url, data }
}

const flows = {
  plain: whole(3 * MB + 7),
  chunked: whole(3 * MB + 7, { chunkSize: MB }),
  empty: whole(0),
  'one chunk exactly': whole(MB, { chunkSize: MB }),
  'by POST in place of PATCH': whole(2 * MB, { overridePatchMethod: true, chunkSize: MB }),
  'an endpoint that ends in a slash': whole(1000, { endpoint: `${endpoint}/` }),
  'data with the creation': whole(2 * MB, { uploadDataDuringCreation: true }),

  async metadata() {
    const data = random(10)
    const { url } = await sent(data, { metadata: { filename: 'Grüße 日本.wav', empty: '' } })
    const told = (await fetch(url, { method: 'HEAD', headers: TUS })).headers.get('Upload-Metadata')
    assert.ok(told.includes(`filename ${Buffer.from('Grüße 日本.wav').toString('base64')}`), told)
    return { url, data }
  },

  async 'a stream whose length comes last'() {
    const data = random(2 * MB + 5)
    return { url: (await sent(streamed(data), { uploadLengthDeferred: true, chunkSize: MB })).url, data }
  },

  async 'a stream of known size'() {
    const data = random(2 * MB + 5)
    return { url: (await sent(streamed(data), { uploadSize: data.length, chunkSize: MB })).url, data }
  },

  async checksums() {
    const data = random(MB)
    const checksum = `sha1 ${crypto.createHash('sha1').update(data).digest('base64')}`
    const onBeforeRequest = (request) => request.getMethod() === 'PATCH' && request.setHeader('Upload-Checksum', checksum)
    return { url: (await sent(data, { onBeforeRequest })).url, data }
  },

  async 'goes on at another process'() {
    const data = random(3 * MB)
    const { url } = await interrupted(data)
    assert.equal(await status(moved(url), 'GET'), 404)
    await sent(data, { uploadUrl: moved(url) })
    return { url, data }
  },

  async 'finds what was begun before'() {
    const data = random(3 * MB)
    const urlStorage = new tus.FileUrlStorage('uploads.json')
    const { url } = await interrupted(data, { urlStorage })
    const begin = async (upload) => {
      upload.resumeFromPreviousUpload((await upload.findPreviousUploads())[0])
      upload.start()
    }
    assert.equal((await sent(data, { urlStorage, begin })).url, url)
    return { url, data }
  },

  async 'stops, and deletes'() {
    const upload = await interrupted(random(3 * MB))
    await upload.abort(true)
    assert.equal(await status(upload.url), 410)
  },

  async 'deletes when all is sent'() {
    const upload = await sent(random(MB))
    await upload.abort(true)
    assert.equal(await status(upload.url), 404)
    assert.equal(await status(moved(upload.url), 'GET'), 404)
  },

  async 'begins anew when its upload is gone'() {
    const data = random(1000)
    const gone = await interrupted(random(3 * MB))
    await gone.abort(true)
    const { url } = await sent(data, { uploadUrl: gone.url })
    assert.notEqual(url, gone.url)
    return { url, data }
  },

  async 'parallel parts are refused at once'() {
    let bytes = 0
    const onProgress = (count) => { bytes = count }
    const refused = await sent(random(3 * MB), { parallelUploads: 2, retryDelays: null, onProgress }).catch((error) => error)
    assert.equal(refused.originalResponse?.getStatus(), 400)
    assert.match(refused.originalResponse.getBody(), /concatenation is not offered/)
    assert.equal(bytes, 0)
  },
}

async function main() {
  const came = {}
  for (const [name, flow] of Object.entries(flows)) {
    try {
      const made = await flow()
      if (made) {
        const answer = await fetch(moved(made.url))
        assert.equal(answer.status, 200)
        assert.ok(made.data.equals(Buffer.from(await answer.arrayBuffer())), 'other bytes')
      }
      came[name] = 'well'
    } catch (error) {
      came[name] = String(error.stack ?? error)
    }
  }
  console.log(JSON.stringify(came))
}

main()

package muster;

import io.delta.storage.HadoopFileSystemLogStore;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.util.Arrays;
import java.util.Iterator;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/** Delta's log on S3: a commit is one conditional put, so of two writers anywhere, Spark or not, one is refused. */
public final class ConditionalLogStore extends HadoopFileSystemLogStore {
    private static final String CREATE_ONLY = "fs.option.create.conditional.overwrite";
    private static final String CONFLICT = "Status Code: 409";
    private static final int ATTEMPTS = 10;
    private static final long PAUSE = 200; // milliseconds

    public ConditionalLogStore(Configuration configuration) {
        super(configuration);
    }

    @Override
    public void write(Path path, Iterator<String> actions, Boolean overwrite, Configuration configuration)
            throws IOException {
        byte[] bytes = lines(actions); // first: what fails here has put nothing
        FileSystem files = path.getFileSystem(configuration);
        if (overwrite.booleanValue()) {
            put(files.create(path, true), bytes);
            return;
        }
        for (int left = ATTEMPTS; !created(files, path, bytes, left > 1); left--) {
            pause();
        }
    }

    @Override
    public Boolean isPartialWriteVisible(Path path, Configuration configuration) {
        return Boolean.FALSE;
    }

    private static byte[] lines(Iterator<String> actions) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        while (actions.hasNext()) {
            bytes.write((((String) actions.next()) + "\n").getBytes(StandardCharsets.UTF_8));
        }
        return bytes.toByteArray();
    }

    private static void put(FSDataOutputStream out, byte[] bytes) throws IOException {
        try {
            out.write(bytes);
        } catch (IOException error) {
            out.abort(); // closing it would publish a part
            throw error;
        }
        out.close();
    }

    /** Create the file; return false where another's put of it is under way, and this one may be tried again. */
    private static boolean created(FileSystem files, Path path, byte[] bytes, boolean again) throws IOException {
        try {
            put((FSDataOutputStream) files.createFile(path).must(CREATE_ONLY, true).build(), bytes);
            return true;
        } catch (IOException error) {
            if (again && String.valueOf(error.getMessage()).contains(CONFLICT)) {
                return false;
            }
            // A put whose answer is lost is sent again, and then refused because of itself. No two commits are equal.
            if (Arrays.equals(content(files, path, error), bytes)) {
                return true;
            }
            throw new FileAlreadyExistsException(path.toString());
        }
    }

    private static void pause() throws IOException {
        try {
            Thread.sleep(PAUSE);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException();
        }
    }

    /** Return what stands there; raise the put's own error where nothing does, or it cannot be read. */
    private static byte[] content(FileSystem files, Path path, IOException error) throws IOException {
        try {
            byte[] bytes = new byte[(int) files.getFileStatus(path).getLen()];
            FSDataInputStream in = files.open(path);
            try {
                in.readFully(0, bytes);
            } finally {
                in.close();
            }
            return bytes;
        } catch (IOException unreadable) {
            error.addSuppressed(unreadable);
            throw error;
        }
    }
}
